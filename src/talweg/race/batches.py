"""Where each batch of a line fit has its own minimum: what bends a stochastic path."""

import numpy as np
import torch
from numpy.typing import NDArray

from talweg.landscapes import Landscape, LineFit

DRAWN = 400
"""Batches."""


def batch_minima(landscape: Landscape, batch_size: int) -> NDArray[np.float64]:
    """The least-squares lines ``[batch, (a, b)]`` of random batches; always the same ones.

    A stochastic step goes downhill on the loss of its batch, towards that line and not towards the
    line of all samples. Batches whose inputs are all equal have no line of their own and are left
    out.

    Args:
        landscape: A line fit.
        batch_size: Samples of each.
    """
    line = landscape.function
    assert isinstance(line, LineFit)
    draw = torch.Generator().manual_seed(0)
    found: list[tuple[float, float]] = []
    for _ in range(DRAWN):
        chosen = torch.randperm(len(line.x), generator=draw)[:batch_size]
        x, y = line.x[chosen], line.y[chosen]
        if x.max() > x.min():
            found.append(LineFit(x, y).best())
    return np.array(found).reshape(-1, 2)
