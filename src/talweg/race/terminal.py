"""A race as a small picture of braille dots, for a terminal."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from talweg.race.contours import contours
from talweg.race.result import Race

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bits of a braille character, by row and column of its dots."""
LEVELS = 9
"""Contours."""
STYLES = ("bright_blue", "yellow", "bright_magenta", "bright_green", "bright_red")
"""Of the rules that are shown, the best first: the terminal's own colours suit its background."""


class Canvas:
    """Cells of a terminal, each of 2 × 4 dots; what is drawn later lies on top.

    Args:
        window: The corners ``(left, low), (right, high)`` that are shown.
        columns: Cells across.
        rows: Cells down.
    """

    def __init__(
        self,
        window: tuple[tuple[float, float], tuple[float, float]],
        columns: int,
        rows: int,
    ) -> None:
        (self._left, self._low), (right, high) = window
        self._width, self._height = right - self._left, high - self._low
        self._dots = np.zeros((rows, columns), dtype=int)
        self._styles = np.full((rows, columns), "", dtype=object)
        self._signs = np.full((rows, columns), "", dtype=object)

    def _cells(self, points: NDArray[np.float64]) -> NDArray[np.int64]:
        """``[point, 2]`` → ``[dot, (row, column)]``, in dots, of the points that are shown."""
        rows, columns = self._dots.shape
        points = points[np.isfinite(points).all(1)]
        across = np.floor((points[:, 0] - self._left) / self._width * 2 * columns)
        down = np.floor((self._low + self._height - points[:, 1]) / self._height * 4 * rows)
        inside = (across >= 0) & (across < 2 * columns) & (down >= 0) & (down < 4 * rows)
        return np.stack((down[inside], across[inside]), 1).astype(int)

    def dots(self, points: NDArray[np.float64], style: str, over: bool = True) -> None:
        """Dots at points ``[point, 2]``.

        Args:
            points: Where.
            style: Rich's, of the cells.
            over: Whether they replace what is in a cell in another style.
        """
        for down, across in self._cells(points):
            cell = down // 4, across // 2
            if self._styles[cell] not in ("", style):
                if not over:
                    continue
                self._dots[cell] = 0
            self._dots[cell] |= DOTS[down % 4][across % 2]
            self._styles[cell] = style

    def line(self, points: NDArray[np.float64], style: str, over: bool = True) -> None:
        """A line through points ``[point, 2]``."""
        if len(points) < 2:
            return
        length = np.abs(np.diff(points, axis=0)) / (self._width, self._height)
        rows, columns = self._dots.shape
        counts = np.nan_to_num((length * (2 * columns, 4 * rows)).max(1)).clip(0, 8000)
        parts = [
            np.linspace(one, other, int(count) + 2)
            for one, other, count in zip(points[:-1], points[1:], counts, strict=True)
        ]
        self.dots(np.concatenate(parts), style, over)

    def sign(self, points: Iterable[tuple[float, ...]], sign: str, style: str) -> None:
        """A character at each of some points."""
        for down, across in self._cells(np.array(list(points), dtype=float).reshape(-1, 2)):
            self._signs[down // 4, across // 2] = sign
            self._styles[down // 4, across // 2] = style

    def text(self) -> Text:
        """All rows."""
        rows: list[Text] = []
        for dots, styles, signs in zip(self._dots, self._styles, self._signs, strict=True):
            row = Text()
            for bits, style, sign in zip(dots, styles, signs, strict=True):
                row.append(sign or (chr(0x2800 + bits) if bits else " "), style or None)
            rows.append(row)
        return Text("\n").join(rows)


def drawn(race: Race, columns: int = 76, rows: int = 20) -> Text:
    """Contours, the paths of the best few, start and minima, and who is who.

    Args:
        race: A race on a landscape of two coordinates.
        columns: Characters across.
        rows: Lines down.
    """
    canvas = Canvas(race.landscape.window, columns, rows)
    for line in contours(race.landscape, LEVELS, fine=121):
        canvas.line(line, "bright_black", over=False)
    shown = list(zip(race.racers, STYLES, strict=False))
    for racer, style in reversed(shown):  # the best on top
        canvas.line(racer.path.numpy(), style)
    canvas.sign([tuple(race.landscape.saddles[0])] if race.landscape.saddles else [], "×", "bold")
    canvas.sign([race.landscape.start], "○", "bold")
    canvas.sign(race.landscape.minima, "★", "bold")
    names = Text("○ start  ★ minimum" + ("  × saddle" if race.landscape.saddles else ""), "dim")
    legend = Text("   ").join(Text("━━ ", style).append(racer.label) for racer, style in shown)
    return Text("\n").join((canvas.text(), names, legend))
