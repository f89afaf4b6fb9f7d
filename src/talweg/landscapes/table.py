"""The landscapes that have a name."""

import numpy as np
import torch

from talweg.core import Registry
from talweg.landscapes.functions import (
    LineFit,
    Quadratic,
    ackley,
    beale,
    himmelblau,
    rastrigin,
    ravine,
    rosenbrock,
    saddle,
    styblinski_tang,
)
from talweg.landscapes.landscape import Landscape

LANDSCAPES: Registry[Landscape] = Registry("landscape", "talweg list landscapes")


def quadratic(spectrum: tuple[float, ...], turned: bool = False) -> Landscape:
    """A bowl of given curvatures, in as many dimensions.

    >>> quadratic((1.0, 30.0)).curvatures(torch.zeros(2)).tolist()
    [1.0, 30.0]
    """
    size = len(spectrum)
    return Landscape(
        "quadratic",
        Quadratic(spectrum, turned),
        "Σ λᵢ·xᵢ²/2",
        start=tuple(1.0 for _ in range(size)),
        minima=(tuple(0.0 for _ in range(size)),),
        least=0.0,
        window=((-1.5, -1.5), (1.5, 1.5)),
    )


def line_fit() -> Landscape:
    """A line through the diabetes data: disease after a year against body-mass index.

    Both are in standard deviations; the index is moved by one, so that slope and height hang
    together and the valley lies askew.
    """
    from sklearn.datasets import load_diabetes

    features, target = load_diabetes(return_X_y=True)
    x, y = (torch.from_numpy(np.array(column)) for column in (np.array(features)[:, 2], target))
    x, y = (x - x.mean()) / x.std(correction=0) + 1, (y - y.mean()) / y.std(correction=0)
    function = LineFit(x, y)
    best = function.best()
    return Landscape(
        "line-fit",
        function,
        "mean of (yᵢ − a·xᵢ − b)² over 442 people",
        start=(0.0, 0.0),
        minima=(best,),
        least=float(function(torch.tensor(best, dtype=torch.float64))),
        window=((-0.4, -1.4), (1.4, 0.6)),
        source="Efron et al. (2004)",
    )


for _entry in (
    Landscape(
        "rosenbrock",
        rosenbrock,
        "(1 − x)² + 100·(y − x²)²",
        (-1.2, 1.0),
        ((1.0, 1.0),),
        0.0,
        ((-2.0, -1.0), (2.0, 3.0)),
        source="Rosenbrock (1960)",
    ),
    Landscape(
        "saddle",
        saddle,
        "x²/2 − y²/2 + y⁴/4",
        (1.0, 0.001),
        ((0.0, 1.0), (0.0, -1.0)),
        -0.25,
        ((-1.5, -1.6), (1.5, 1.6)),
        saddles=((0.0, 0.0),),
    ),
    Landscape(
        "ravine",
        ravine,
        "(x² + 100·y²)/2",
        (-2.0, 1.0),
        ((0.0, 0.0),),
        0.0,
        ((-2.4, -1.3), (1.0, 1.3)),
    ),
    Landscape(
        "beale",
        beale,
        "(1.5 − x + xy)² + (2.25 − x + xy²)² + (2.625 − x + xy³)²",
        (1.0, 1.0),
        ((3.0, 0.5),),
        0.0,
        ((-1.0, -2.0), (4.5, 2.0)),
        source="Beale (1958)",
    ),
    Landscape(
        "himmelblau",
        himmelblau,
        "(x² + y − 11)² + (x + y² − 7)²",
        (0.0, 0.0),
        (
            (3.0, 2.0),
            (-2.8051180869527448, 3.1313125182505730),
            (-3.7793102533777469, -3.2831859912861696),
            (3.5844283403304917, -1.8481265269644031),
        ),
        0.0,
        ((-5.0, -5.0), (5.0, 5.0)),
        source="Himmelblau (1972)",
    ),
    Landscape(
        "rastrigin",
        rastrigin,
        "10·n + Σ xᵢ² − 10·cos(2π·xᵢ)",
        (-3.3, 2.4),
        ((0.0, 0.0),),
        0.0,
        ((-5.12, -5.12), (5.12, 5.12)),
        source="Rastrigin (1974)",
    ),
    Landscape(
        "ackley",
        ackley,
        "−20·e^(−‖x‖/(5√n)) − e^(Σ cos(2π·xᵢ)/n) + 20 + e",
        (-2.3, 1.7),
        ((0.0, 0.0),),
        0.0,
        ((-4.0, -4.0), (4.0, 4.0)),
        source="Ackley (1987)",
    ),
    Landscape(
        "styblinski-tang",
        styblinski_tang,
        "Σ (xᵢ⁴ − 16·xᵢ² + 5·xᵢ)/2",
        (0.0, 0.0),
        ((-2.9035340277711770, -2.9035340277711770),),
        -78.33233140754285,
        ((-5.0, -5.0), (5.0, 5.0)),
        source="Styblinski & Tang (1990)",
    ),
    quadratic((1.0, 30.0), turned=True),
):
    LANDSCAPES.add(_entry.name, _entry)
LANDSCAPES.add_made("line-fit", line_fit)
