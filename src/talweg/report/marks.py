"""How a contender looks: one colour, symbol and dash, the same in every figure and table."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

COLOURS = 12
"""How many ``--rule-N`` colours style.css defines; those beyond them differ by their dash."""
DASHES = ("solid", "dash", "dot", "dashdot")


def _star(points: int, inner: float, turn: float = 0.0) -> list[tuple[float, float]]:
    """Corners on two circles, of radius 1 and ``inner``, in turn; the first one is at the top."""
    corners: list[tuple[float, float]] = []
    for corner in range(2 * points):
        radius = inner if corner % 2 else 1.0
        angle = math.pi * corner / points + turn
        corners.append((radius * math.sin(angle), -radius * math.cos(angle)))
    return corners


def _polygon(sides: int, turn: float = 0.0) -> list[tuple[float, float]]:
    return _star(sides, 0, turn)[::2]


_ARM = 0.36
SHAPES: dict[str, list[tuple[float, float]]] = {
    "circle": _polygon(24),
    "square": [(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)],
    "diamond": _polygon(4),
    "triangle-up": _polygon(3),
    "triangle-down": _polygon(3, math.pi),
    "pentagon": _polygon(5),
    "star": _star(5, 0.42),
    "cross": [
        *((-_ARM, -1), (_ARM, -1), (_ARM, -_ARM), (1, -_ARM), (1, _ARM)),
        *((_ARM, _ARM), (_ARM, 1), (-_ARM, 1), (-_ARM, _ARM), (-1, _ARM)),
        *((-1, -_ARM), (-_ARM, -_ARM)),
    ],
    "triangle-left": _polygon(3, -math.pi / 2),
    "triangle-right": _polygon(3, math.pi / 2),
    "bowtie": [(-0.9, -0.9), (0, 0), (0.9, -0.9), (0.9, 0.9), (0, 0), (-0.9, 0.9)],
    "hourglass": [(-0.9, -0.9), (0.9, -0.9), (0, 0), (0.9, 0.9), (-0.9, 0.9), (0, 0)],
}
"""Plotly's symbol names, with their corners for the swatches in the page itself."""


@dataclass(frozen=True)
class Mark:
    """The look of one contender.

    Args:
        index: Its place in the study, from 0.
    """

    index: int

    @property
    def colour(self) -> str:
        """The CSS variable that holds the colour, in each theme its own."""
        return f"--rule-{self.index % COLOURS}"

    @property
    def symbol(self) -> str:
        """Plotly's name of the symbol."""
        return list(SHAPES)[self.index % len(SHAPES)]

    @property
    def dash(self) -> str:
        """Plotly's name of the line style."""
        return DASHES[self.index // COLOURS % len(DASHES)]

    @property
    def swatch(self) -> str:
        """A line with the symbol on it, as inline SVG."""
        size = 6.5 if self.symbol == "star" else 5
        corners = " ".join(
            f"{13 + size * x:.1f},{7 + size * y:.1f}" for x, y in SHAPES[self.symbol]
        )
        dashes = {"solid": "", "dash": "5 3", "dot": "2 2", "dashdot": "5 2 2 2"}[self.dash]
        return (
            f'<svg class="swatch" style="color:var({self.colour})" viewBox="0 0 26 14" width="26" '
            f'height="14" aria-hidden="true"><path d="M0 7H26" stroke="currentColor" '
            f'stroke-width="2" stroke-dasharray="{dashes}"/>'
            f'<polygon points="{corners}" fill="currentColor"/></svg>'
        )


def marks(names: Iterable[str]) -> dict[str, Mark]:
    """Each contender's look, by its place, so that it is the same in all figures."""
    return {name: Mark(index) for index, name in enumerate(names)}
