"""Lines of one height."""

import numpy as np
import torch
from contourpy import contour_generator
from numpy.typing import NDArray

from talweg.landscapes import Landscape


def contours(landscape: Landscape, levels: int, fine: int = 241) -> list[NDArray[np.float64]]:
    """Lines of one height ``[point, 2]``, the heights evenly spread in the logarithm.

    Args:
        landscape: Of two coordinates; its window is drawn.
        levels: How many heights.
        fine: Points of the grid across and down.
    """
    (left, low), (right, high) = landscape.window
    x = torch.linspace(left, right, fine, dtype=torch.float64)
    y = torch.linspace(low, high, fine, dtype=torch.float64)
    points = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
    heights = landscape(points) - landscape.least
    floor = float(heights.max()) * 1e-5
    logs = torch.log10(heights + floor)
    found = contour_generator(x.numpy(), y.numpy(), logs.numpy())
    spread = np.linspace(float(logs.min()), float(logs.max()), levels + 2)[1:-1]
    return [np.asarray(line) for level in spread for line in found.lines(level)]
