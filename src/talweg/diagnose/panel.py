"""What is shown of a watched run while it trains: numbers of each layer, and what was found."""

import math
import sys
import time
from collections.abc import Mapping, Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel as Frame
from rich.table import Table
from rich.text import Text

from talweg.core import counted
from talweg.diagnose.briefly import NAMED, brief, shortened
from talweg.diagnose.findings.finding import Finding
from talweg.diagnose.health import Health
from talweg.diagnose.moment import WHOLE, Moment
from talweg.diagnose.verdict import by_name

SECONDS = 0.25
"""From one picture to the next, at least."""
TIMES = 50
"""How many times as long as a picture took nothing is drawn after it."""
BAR = 10
"""Characters of the longest bar."""
AROUND = 10
"""Lines of a terminal that are left to other things than layers."""
FINDINGS = 5
"""Kinds of findings that are shown."""
STYLES = {"problem": "bold red", "warning": "yellow", "note": "dim"}
COLUMNS = {
    "gradient rms": "gradient",
    "dead": "dead",
    "saturated": "saturated",
    "update ratio": "update",
}
"""Measures that are shown, and what their columns are called."""
WIDE, NARROW = 84, 60
"""Characters across from which on there are bars, and below which names are cut to 12."""


class Screen(Console):
    """A terminal, or whatever takes its place, that may go away: rich would end the process."""

    def on_broken_pipe(self) -> None:
        """Writes nothing from then on."""
        self.quiet = True


class Panel:
    """Shows a run while it is entered, on the error stream.

    On a terminal it redraws itself, a few times a second at most; elsewhere it prints a line for
    each new finding, and as one comes back for its 2nd, 4th, 8th, … spell. What cannot be
    written there does not disturb the run.

    Args:
        health: What is known of the run.
        console: Where to; None for the error stream.
    """

    def __init__(self, health: Health, console: Screen | None = None) -> None:
        self._health = health
        self._console = console or Screen(file=sys.stderr, highlight=False)
        self._is_on = False
        self._next = -math.inf
        self._latest: dict[str, Mapping[str, float]] = {}
        self._bars: dict[str, int] = {}
        self._step = 0
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            get_renderable=self.drawn,
            redirect_stdout=Console(file=sys.stdout).is_terminal,  # a file stays where it is
        )

    def __enter__(self) -> "Panel":
        self._is_on = True
        self._health.listeners.append(self._add)
        return self

    def __exit__(self, *error: object) -> None:
        is_on, self._is_on = self._is_on, False
        self._health.listeners.remove(self._add)
        if not self._live.is_started:
            return
        if is_on:
            self._refresh()
        try:
            self._live.stop()
        except (OSError, ValueError):  # the terminal is gone
            return

    def _add(self, moment: Moment, new: Sequence[Finding]) -> None:
        self._step = moment.step
        self._latest |= {name: values for name, values in moment.values.items() if values}
        if not self._is_on:
            return
        told = [one for one in new if is_news(one)]
        if not self._console.is_terminal:
            for one in told:
                self._print(f"talweg.watch: step {moment.step}: {one}")
        elif told or time.monotonic() >= self._next:
            self._refresh()

    def _print(self, line: str) -> None:
        try:
            self._console.print(Text(line), soft_wrap=True)
        except (OSError, ValueError):
            self._is_on = False

    def _refresh(self) -> None:
        began = time.monotonic()
        try:
            if not self._live.is_started:
                self._live.start()
            self._live.refresh()
        except (OSError, ValueError):
            self._is_on = False
        self._next = began + max(SECONDS, TIMES * (time.monotonic() - began))

    def drawn(self) -> RenderableType:
        """The panel as it is now."""
        parts: list[RenderableType] = [self._head(), self._layers()]
        return Frame(
            Group(*parts, *self._found()),
            title="talweg.watch",
            title_align="left",
            border_style="dim",
            padding=(0, 1),
        )

    def _head(self) -> Text:
        whole = {name: values.get(WHOLE) for name, values in self._latest.items()}
        said = [f"step {self._step:,}"]
        said += [
            f"{name} {value:.3g}"
            for name in ("loss", "lr")
            if (value := whole.get(name)) is not None
        ]
        if (sharpness := whole.get("sharpness")) is not None:
            said.append(f"sharpness {sharpness:.3g}")
        said.append(f"{100 * self._health.overhead:.1f}% overhead")
        return Text(" · ".join(said), no_wrap=True, overflow="ellipsis")

    def _layers(self) -> Table:
        width = self._console.width
        room = NAMED if width >= NARROW else NAMED // 2
        by_measure = {name: self._latest.get(name, {}) for name in COLUMNS}
        layers = self._names(by_measure)
        sizes = by_measure["gradient rms"]
        self._bars = dict(zip(sizes, bars(list(sizes.values())), strict=True))
        left = width - 6 - min(room, max(map(len, layers), default=0))
        shown: list[str] = []
        for name, heading in COLUMNS.items():
            needs = 2 + max(len(heading), 8)
            if by_measure[name] and (width >= WIDE or needs <= left):
                left -= needs
                shown.append(name)
        table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
        table.add_column("layer", no_wrap=True)
        for name in shown:
            table.add_column(COLUMNS[name], no_wrap=True)
        now = [one for one in reversed(self._health.findings) if one.passed is None]
        ill = {one.layer: STYLES[one.severity] for one in now}
        for name in shortened(layers, max(self._console.height - AROUND, 4)):
            if not name:
                table.add_row(Text(f"… {counted(len(layers), 'layer')} in all", "dim"))
                continue
            cells = [self._cell(measure, by_measure[measure], name) for measure in shown]
            table.add_row(Text(brief(name, room), ill.get(name, "")), *cells)
        return table

    def _names(self, by_measure: Mapping[str, Mapping[str, float]]) -> list[str]:
        known = [layer.name for layer in self._health.setting.layers]
        taken = dict.fromkeys(name for values in by_measure.values() for name in values)
        return list(dict.fromkeys([*(name for name in known if name in taken), *taken]))

    def _cell(self, measure: str, values: Mapping[str, float], name: str) -> Text:
        value = values.get(name)
        if value is None:
            return Text("")
        if not math.isfinite(value):
            return Text("lost", STYLES["problem"])
        if measure == "gradient rms":
            return self._with_bar(self._bars[name], BAR, "cyan", f"{value:.1e}")
        if measure == "update ratio":
            return Text(f"{value:.1e}", "" if 1e-5 < value < 1e-1 else "yellow")
        style = "red" if value >= 0.5 else "yellow" if value >= 0.2 else "green"
        return self._with_bar(round(value * BAR / 2), BAR // 2, style, f"{value:4.0%}")

    def _with_bar(self, filled: int, most: int, style: str, number: str) -> Text:
        if self._console.width < WIDE:
            return Text(number)
        return Text("━" * filled, style).append(f"{' ' * (most - filled)} {number}", "default")

    def _found(self) -> list[RenderableType]:
        found = by_name(self._health.findings)
        if not found:
            return [Text("nothing found so far", "green")]
        lines: list[RenderableType] = []
        for places in list(found.values())[:FINDINGS]:
            one = places[0]
            more = f" and {len(places) - 1} more" if len(places) > 1 else ""
            line = Text("● ", "dim", no_wrap=True, overflow="ellipsis")
            if one.passed is None:
                line = Text("", no_wrap=True, overflow="ellipsis").append(
                    "● ", STYLES[one.severity]
                )
            lines.append(line.append(str(one).partition(": ")[2] + more))
        return lines


def is_news(finding: Finding) -> bool:
    """Whether a finding that is there is told at once: those that come and go, ever less often."""
    return len(finding.spells).bit_count() == 1


def bars(values: Sequence[float]) -> list[int]:
    """A bar's length for each size, in the logarithm: a sixth for each factor of 10 below the most.

    >>> bars([1.0, 1e-3, 1e-9, 0.0])
    [10, 5, 1, 0]
    """
    known = [value for value in values if math.isfinite(value) and value > 0]
    most = math.log10(max(known)) if known else 0.0
    return [
        max(1, round(BAR * (1 + (math.log10(value) - most) / 6)))
        if math.isfinite(value) and value > 0
        else 0
        for value in values
    ]
