"""What is known of a training run that is watched."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from talweg.core import Registry, UserError
from talweg.diagnose.findings.finding import Course, Diagnosis, Finding
from talweg.diagnose.moment import Moment, Setting

WRITERS: Registry[Callable[["Health", str | os.PathLike[str]], Path]] = Registry(
    "health report format"
)
"""How it is written for people; the report room adds ``"html"``."""


class Health:
    """What was measured of a run, and what was found; it grows while the run is watched.

    Attributes:
        setting: The layers and the rule, as far as they are known.
        moments: What was measured, step by step.
        losses: The loss of every step, as it was differentiated; NaN where there was none.
        notes: What could not be measured, and why.
        every: Steps from one measured step to the next.
        tier: ``"light"`` or ``"full"``.
        clock: Tells the seconds, while the run goes on.
        listeners: Told of each moment, and of the findings that are new then.

    Args:
        diagnoses: What is looked for.
        every: See above.
        tier: See above.
    """

    def __init__(self, diagnoses: list[Diagnosis], every: int, tier: str) -> None:
        self.setting = Setting()
        self.moments: list[Moment] = []
        self.losses: list[float] = []
        self.notes: list[str] = []
        self.every = every
        self.tier = tier
        self.clock: Callable[[], tuple[float, float]] | None = None
        self.listeners: list[Callable[[Moment, list[Finding]], None]] = []
        self.diagnoses = diagnoses
        self._course = Course(diagnoses)
        self._undiagnosed: list[tuple[Moment, Setting]] = []
        self._seconds = 0.0, 0.0

    def __getstate__(self) -> dict[str, Any]:
        """A copy or a file of it is of this moment: it grows no more, and nobody listens."""
        return {**vars(self), "_seconds": self.seconds, "clock": None, "listeners": []}

    def add(self, moment: Moment) -> None:
        """Takes in what was measured at a step."""
        self.moments.append(moment)
        self._undiagnosed.append((moment, self.setting))
        if self.listeners:
            new = self.diagnose()
            for listener in self.listeners:
                listener(moment, new)

    def diagnose(self) -> list[Finding]:
        """Looks at what was measured since the last look; returns the findings that are new.

        Nothing is lost by waiting: what is said of a step depends on it and those before alone.
        """
        waiting, self._undiagnosed = self._undiagnosed, []
        return [new for each in waiting for new in self._course.add(*each)]

    @property
    def findings(self) -> list[Finding]:
        """What was found so far: what goes on first, then the worst."""
        self.diagnose()
        return self._course.findings

    @property
    def seconds(self) -> tuple[float, float]:
        """The time of the run and, within it, that of the measurements."""
        return self.clock() if self.clock else self._seconds

    @seconds.setter
    def seconds(self, seconds: tuple[float, float]) -> None:
        self._seconds, self.clock = seconds, None

    @property
    def steps(self) -> int:
        """Steps made while it was watched."""
        return len(self.losses)

    @property
    def overhead(self) -> float:
        """The time that measuring took, as a share of the time without it."""
        whole, own = self.seconds
        return own / max(whole - own, 1e-9)

    def rows(self) -> list[tuple[int, str, str, float]]:
        """All measurements: step, layer, measure, value."""
        return [
            (moment.step, layer, measure, value)
            for moment in self.moments
            for measure, by_layer in moment.values.items()
            for layer, value in by_layer.items()
        ]

    def to_pandas(self) -> Any:
        """All measurements as a pandas DataFrame: step, layer, measure, value.

        Raises:
            UserError: If pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise UserError("to_pandas needs pandas: pip install 'talweg[pandas]'") from error
        return pandas.DataFrame(self.rows(), columns=["step", "layer", "measure", "value"])

    def to_tensorboard(self, folder: str | os.PathLike[str]) -> Path:
        """Writes all measurements and findings for TensorBoard, and returns the folder.

        Scalars are called ``measure/layer``, such as ``gradient rms/encoder.0``; findings are
        texts at the step at which they were told.

        Args:
            folder: Where to; an event file is added to it.

        Raises:
            UserError: If TensorBoard is not installed, or the folder cannot be written.
        """
        from talweg.diagnose import tensorboard

        return tensorboard.write(self, folder)

    def report(self, path: str | os.PathLike[str] = "health.html") -> Path:
        """Writes one self-contained HTML page, and returns where it lies.

        Args:
            path: Where to.

        Raises:
            UserError: If it is no path, or cannot be written.
        """
        return WRITERS["html"](self, path)

    def __str__(self) -> str:
        head = (
            f"{self.steps} steps watched, {len(self.moments)} measured, "
            f"{100 * self.overhead:.1f}% overhead"
        )
        found = [str(one) for one in self.findings] or ["nothing found"]
        return "\n".join([head, *found, *self.notes])
