"""Curves as small SVG pictures, all to one scale so that slopes compare by eye."""

from collections.abc import Sequence

import torch
from torch import Tensor

WIDTH, HEIGHT = 280, 200


class Frame:
    """A rectangle of the plane and its picture.

    Args:
        left: The least x.
        right: The largest x.
        low: The least y.
        high: The largest y.
    """

    def __init__(self, left: float, right: float, low: float, high: float) -> None:
        self.left, self.right, self.low, self.high = left, right, low, high

    def points(self, count: int = 561) -> Tensor:
        """Places from left to right, float64."""
        return torch.linspace(self.left, self.right, count, dtype=torch.float64)

    def x(self, value: float) -> str:
        """A place across, in the picture's units."""
        return f"{(value - self.left) / (self.right - self.left) * WIDTH:.1f}"

    def y(self, value: float) -> str:
        """A place from the top, in the picture's units."""
        return f"{(self.high - value) / (self.high - self.low) * HEIGHT:.1f}"

    def path(self, xs: Tensor, ys: Tensor, kind: str, joined: bool = False) -> str:
        """A line through points; it is lifted where it leaves the rectangle, and where it jumps.

        Args:
            xs: Across.
            ys: Upward.
            kind: Its class.
            joined: Whether jumps are drawn as upright lines instead.
        """
        margin = (self.high - self.low) / 4
        words: list[str] = []
        before = None
        for x, y in zip(xs.tolist(), ys.tolist(), strict=True):
            if not self.low - margin <= y <= self.high + margin:
                before = None
                continue
            step = 0.0 if before is None or joined else abs(y - before)
            jumps = before is None or step > (self.high - self.low) / 8
            words.append(f"{'M' if jumps else 'L'}{self.x(x)} {self.y(y)}")
            before = y
        return f'<path class="{kind}" d="{"".join(words)}"/>'

    def axes(self, across: Sequence[float], upward: Sequence[float]) -> str:
        """Axes through 0, and thin lines with numbers."""
        lines = [
            f'<path class="grid" d="M{self.x(x)} 0V{HEIGHT}"/>'
            f'<text x="{self.x(x)}" y="{float(self.y(max(self.low, 0))) + 11:.1f}" '
            f'text-anchor="middle">{x:g}</text>'
            for x in across
        ]
        lines += [
            f'<path class="grid" d="M0 {self.y(y)}H{WIDTH}"/>'
            f'<text x="{float(self.x(max(self.left, 0))) + 3:.1f}" y="{float(self.y(y)) - 3:.1f}">'
            f"{y:g}</text>"
            for y in upward
        ]
        zero = f'<path class="axis-line" d="M0 {self.y(0)}H{WIDTH}M{self.x(0)} 0V{HEIGHT}"/>'
        return "".join(lines) + zero

    def picture(self, inside: str, label: str) -> str:
        """The picture.

        Args:
            inside: SVG.
            label: What it shows, for those who do not see it; escaped.
        """
        return (
            f'<svg class="curve" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
            f"{inside}</svg>"
        )
