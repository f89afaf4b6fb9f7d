"""Test functions of two coordinates in plain Python."""

from math import cos, e, exp, pi, sqrt

import numpy as np
from sklearn.datasets import load_diabetes


def line_fit(a, b):
    data = load_diabetes()
    x, y = data.data[:, 2], data.target
    x, y = (x - x.mean()) / x.std() + 1, (y - y.mean()) / y.std()
    return float(np.mean((y - (a * x + b)) ** 2))


ORACLES = {
    "rosenbrock": lambda x, y: (1 - x) ** 2 + 100 * (y - x**2) ** 2,
    "saddle": lambda x, y: x**2 / 2 - y**2 / 2 + y**4 / 4,
    "ravine": lambda x, y: (x**2 + 100 * y**2) / 2,
    "beale": lambda x, y: (
        (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2
    ),
    "himmelblau": lambda x, y: (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2,
    "rastrigin": lambda x, y: 20 + x**2 + y**2 - 10 * (cos(2 * pi * x) + cos(2 * pi * y)),
    "ackley": lambda x, y: (
        -20 * exp(-0.2 * sqrt((x**2 + y**2) / 2))
        - exp((cos(2 * pi * x) + cos(2 * pi * y)) / 2)
        + 20
        + e
    ),
    "styblinski-tang": lambda x, y: sum(z**4 - 16 * z**2 + 5 * z for z in (x, y)) / 2,
    "line-fit": line_fit,
}
