"""What is shown while a study runs: progress, time left, lanes alive, the leaders so far."""

import math
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from types import TracebackType
from typing import Any

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from talweg.lanes import Reading
from talweg.study import words
from talweg.study.history import Lane

SHOWN = 5


class Log:
    """Lines that something decided to tell: kept, and passed on to whoever listens.

    Attributes:
        lines: All of them so far.
        listeners: Called with each line from then on.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.listeners: list[Callable[[str], None]] = []

    def __call__(self, line: str) -> None:
        """Keeps a line and passes it on."""
        self.lines.append(line)
        for listener in self.listeners:
            listener(line)


class Board:
    """The latest validation scores, by contender and rate.

    Args:
        task: The record's task.
        labels: Name of a contender → label.
    """

    def __init__(self, task: dict[str, Any], labels: dict[str, str]) -> None:
        self._task = task
        self._labels = labels
        self._lanes: dict[int, Lane] = {}
        self._scores: dict[int, float] = {}
        self.alive = 0

    def begin(self, lanes: Sequence[Lane]) -> None:
        """Forgets the phase before and starts with these lanes."""
        self._lanes = {lane.lane: lane for lane in lanes}
        self._scores = {}
        self.alive = len(lanes)

    def read(self, reading: Reading) -> None:
        """Takes in a reading."""
        if ("train", "diverged") in reading.values:
            self.stop(reading.lanes)
            return
        scores = reading.values["validation", self._task["metric"]]
        self._scores |= dict(zip(reading.lanes, scores, strict=True))

    def stop(self, lanes: Collection[int]) -> None:
        """Forgets lanes that make no more steps."""
        self.alive -= len(lanes)
        for lane in lanes:
            self._scores.pop(lane, None)

    def leaders(self) -> list[tuple[str, float, float]]:
        """``(label, rate, score)`` of each contender's best rate so far, best first."""
        found: defaultdict[tuple[str, float], list[float]] = defaultdict(list)
        for lane, score in self._scores.items():
            if math.isfinite(score):
                found[self._lanes[lane].contender, self._lanes[lane].lr].append(score)
        sign = 1 if self._task["higher_is_better"] else -1
        best: dict[str, tuple[str, float, float]] = {}
        for (name, lr), scores in found.items():
            score = float(np.mean(scores))
            if name not in best or sign * score > sign * best[name][2]:
                best[name] = (self._labels[name], lr, score)
        return sorted(best.values(), key=lambda entry: -sign * entry[2])


class Display:
    """Shows a study as it runs, on the error stream.

    On a terminal it redraws itself; elsewhere it prints a line a phase and one every 10 seconds.

    Args:
        board: Where the leading rules are kept.
        task: The record's task.
        lane_steps: Steps that all lanes of all phases will make.
        shown: Whether to show anything.
    """

    def __init__(self, board: Board, task: dict[str, Any], lane_steps: int, shown: bool) -> None:
        self._board = board
        self._task = task
        self._console = Console(file=sys.stderr, quiet=not shown)
        self._redraws = shown and self._console.is_terminal
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeRemainingColumn(),
            console=self._console,
            expand=True,
        )
        self._bar = self._progress.add_task("preparing", total=lane_steps)
        self._live = Live(console=self._console, get_renderable=self._draw, transient=True)
        self._phase = ""
        self._told = time.monotonic()

    def __enter__(self) -> "Display":
        if self._redraws:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._redraws:
            self._live.stop()

    def say(self, line: str) -> None:
        """Shows a line that stays."""
        self._console.print(Text(line, style="dim"), soft_wrap=True)

    def begin(self, phase: str, lanes: Sequence[Lane]) -> None:
        """Starts a phase."""
        self._phase = phase
        self._board.begin(lanes)
        self._progress.update(self._bar, description=phase)
        if not self._redraws:
            self.say(f"{phase}: {len(lanes)} lanes")

    def read(self, reading: Reading) -> None:
        """Takes in a reading."""
        self._board.read(reading)

    def stop(self, lanes: Collection[int]) -> None:
        """Forgets lanes that make no more steps."""
        self._board.stop(lanes)

    def tick(self, lane_steps: int) -> None:
        """Counts steps made."""
        self._progress.advance(self._bar, lane_steps)
        if not self._redraws and time.monotonic() - self._told > 10:
            self._told = time.monotonic()
            share = self._progress.tasks[0].percentage
            self.say(f"{self._phase}: {share:.0f}% of all, {self._board.alive} lanes alive")

    def _draw(self) -> RenderableType:
        table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
        for place, (label, lr, score) in enumerate(self._board.leaders()[:SHOWN], start=1):
            table.add_row(
                Text(f"{place}", style="dim"),
                Text(label, style="bold" if place == 1 else ""),
                Text(f"lr {words.rate(lr)}", style="dim"),
                Text(words.score(score, self._task)),
            )
        heading = Text(f"{self._board.alive} lanes alive", style="dim")
        if table.row_count:
            heading.append(f" · leading on validation {self._task['metric']}")
        return Group(self._progress, heading, table)
