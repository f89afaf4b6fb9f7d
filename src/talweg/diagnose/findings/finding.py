"""What a diagnosis says: signs of one moment, and findings, which are signs that persist."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal, TypeAlias

from talweg.core import UserError, choose, is_finite
from talweg.diagnose.moment import Moment, Past, Setting

Severity: TypeAlias = Literal["note", "warning", "problem"]
SEVERITIES: tuple[Severity, ...] = ("note", "warning", "problem")
"""From the least to the worst."""


@dataclass(frozen=True)
class Sign:
    """What a diagnosis sees at one moment.

    Attributes:
        layer: Where; `WHOLE` for the model.
        text: The evidence in words and numbers, such as ``"46% of its 128 units are dead"``.
        evidence: The same in numbers, thresholds among them.
        severity: How bad it is.
        is_certain: Whether it is told at once, however often it was seen.
    """

    layer: str
    text: str
    evidence: Mapping[str, float]
    severity: Severity = "problem"
    is_certain: bool = False


@dataclass(frozen=True)
class Finding:
    """A problem of a training run, with its evidence and what helps.

    Attributes:
        name: The diagnosis, such as ``"dead units"``.
        severity: ``"note"``, ``"warning"`` or ``"problem"``: the worst so far.
        layer: The module's path; empty where it is of the whole model.
        text: The evidence in words, as it was when it was worst.
        evidence: The same in numbers, thresholds among them.
        began: The step from which on it was seen first.
        raised: The step at which it had been seen often enough to be told.
        passed: The step from which on it was no longer seen; None while it is. That at which it
            began, of what is only of one moment.
        meaning: What it means.
        remedies: What to try, a line each, most of them code.
        spells: Where it came and went: from which step on it was seen, and was no longer, each
            time.
    """

    name: str
    severity: Severity
    layer: str
    text: str
    evidence: Mapping[str, float]
    began: int
    raised: int
    passed: int | None
    meaning: str
    remedies: tuple[str, ...]
    spells: tuple[tuple[int, int | None], ...]

    def __str__(self) -> str:
        where = f"{self.layer}: " if self.layer else ""
        return f"{self.severity}: {self.name}: {where}{self.text} ({self.when})"

    @property
    def is_of_a_moment(self) -> bool:
        """Whether it is of one moment only, and neither goes on nor passes."""
        return self.passed == self.began

    @property
    def since(self) -> int:
        """The step from which on it was seen the last time."""
        return self.spells[-1][0]

    @property
    def when(self) -> str:
        """When it was seen: ``"from step 25 to 75, and again from 150"``."""
        if self.is_of_a_moment:
            return f"at step {self.began:,}"
        until = "" if self.passed is None else f" to {self.passed:,}"
        count = len(self.spells)
        if count == 1:
            return f"from step {self.began:,}{until}"
        if count == 2:
            first = self.spells[0][1]
            return f"from step {self.began:,} to {first:,}, and again from {self.since:,}{until}"
        return f"{count} times from step {self.began:,} on, last from {self.since:,}{until}"


@dataclass(frozen=True)
class Diagnosis(ABC):
    """Sees a disease in what was measured. Its fields are thresholds, which users may change.

    A diagnosis is pure: what it sees depends on its arguments alone, so that it says the same of a
    training loop, of a lane, and of a run folder that is read again.
    """

    name: ClassVar[str]
    """What users read, and silence it by."""
    meaning: ClassVar[str]
    remedies: ClassVar[tuple[str, ...]]
    needs: ClassVar[tuple[str, ...]]
    """The measures without which it sees nothing."""
    persists: ClassVar[int] = 2
    """Measured moments in a row that must show it before it is told, and before it is over."""
    is_of_a_moment: ClassVar[bool] = False
    """Whether it is seen at one moment only."""

    @abstractmethod
    def signs(self, past: Past) -> Iterator[Sign]:
        """What is seen at the last measured step."""

    def with_thresholds(self, given: Mapping[str, float]) -> "Diagnosis":
        """The same with other thresholds.

        Raises:
            UserError: If they are not by name, it has none of a name, or one is no number above 0.
        """
        if not isinstance(given, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UserError(
                f"thresholds of {self.name!r} must be {{threshold: value}}, got {given!r}"
            )
        own = [field.name for field in fields(self)]
        for name, value in given.items():
            if name not in own:
                raise choose(f"threshold of {self.name!r}", name, own)
            if not is_finite(value) or value <= 0:
                raise UserError(f"the threshold {name} must be a number above 0, got {value!r}")
        return replace(self, **given)


def geometric(values: Sequence[float]) -> float:
    """The geometric mean of positive numbers.

    >>> round(geometric([1.0, 0.01]), 9)
    0.1
    """
    return math.exp(sum(map(math.log, values)) / len(values))


class Course:
    """Follows diagnoses through a run: signs that persist are findings.

    Args:
        diagnoses: What is looked for.
        persists: Measured moments that must show something before it is told; None for as many as
            each diagnosis asks for.
    """

    def __init__(self, diagnoses: Sequence[Diagnosis], persists: int | None = None) -> None:
        self._diagnoses = diagnoses
        self._persists = persists
        self._past = Past(Setting())
        self._seen: dict[tuple[str, str], _Seen] = {}
        self._over: dict[tuple[str, str], Finding] = {}

    def add(self, moment: Moment, setting: Setting) -> list[Finding]:
        """Takes in what was measured next; returns the findings that are new, or there again."""
        self._past.setting = setting
        self._past.add(moment)
        new: list[Finding] = []
        for diagnosis in self._diagnoses:
            if moment.values.keys().isdisjoint(diagnosis.needs):
                continue
            signs = {sign.layer: sign for sign in diagnosis.signs(self._past)}
            if not signs and not self._seen:
                continue
            before = [layer for name, layer in self._seen if name == diagnosis.name]
            for layer in dict.fromkeys([*before, *signs]):
                key = diagnosis.name, layer
                if key not in self._seen:
                    persists = self._persists or diagnosis.persists
                    self._seen[key] = _Seen(diagnosis, moment.step, persists, self._over.get(key))
                seen = self._seen[key]
                was_told = seen.is_told
                seen.look(moment.step, signs.get(layer))
                if seen.is_told and not was_told:
                    new.append(seen.finding())
                if seen.is_over:
                    if seen.is_told:
                        self._over[key] = seen.finding()
                    del self._seen[key]
        return new

    @property
    def findings(self) -> list[Finding]:
        """All so far: those that go on first, then the worst, then those of longest standing."""
        now = {key: seen.finding() for key, seen in self._seen.items() if seen.is_told}
        order = {name: place for place, name in enumerate(SEVERITIES)}
        return sorted(
            (self._over | now).values(),
            key=lambda one: (one.passed is not None, -order[one.severity], one.since),
        )


class _Seen:
    """One diagnosis in one layer, from its first sign to its end; and when it was there before."""

    def __init__(
        self, diagnosis: Diagnosis, step: int, persists: int, before: Finding | None
    ) -> None:
        self._diagnosis = diagnosis
        self._persists = persists
        self._before = before
        self._began = step
        self._raised = step
        self._worst: Sign | None = None
        self._signs = 0
        self._misses = 0
        self._first_miss: int | None = None

    def look(self, step: int, sign: Sign | None) -> None:
        if sign is None:
            self._first_miss = step if self._misses == 0 else self._first_miss
            self._misses += 1
            return
        self._misses, self._first_miss = 0, None
        self._signs = max(self._signs + 1, self._persists if sign.is_certain else 0)
        if self._signs <= self._persists:
            self._raised = step
        order = SEVERITIES.index
        if self._worst is None or order(sign.severity) >= order(self._worst.severity):
            self._worst = sign

    @property
    def is_told(self) -> bool:
        return self._signs >= self._persists

    @property
    def is_over(self) -> bool:
        """Whether it is no more; signs that were not told are forgotten at the first miss."""
        if self._diagnosis.is_of_a_moment:
            return self.is_told
        return self._misses >= (self._persists if self.is_told else 1)

    def finding(self) -> Finding:
        sign, about = self._worst, self._diagnosis
        assert sign is not None
        passed = self._first_miss if self.is_over else None
        if about.is_of_a_moment:
            passed = self._began
        now = Finding(
            about.name,
            sign.severity,
            sign.layer,
            sign.text,
            sign.evidence,
            self._began,
            self._raised,
            passed,
            about.meaning,
            about.remedies,
            ((self._began, passed),),
        )
        before = self._before
        if before is None:
            return now
        spells = (*before.spells, *now.spells)
        if SEVERITIES.index(before.severity) > SEVERITIES.index(now.severity):
            return replace(before, passed=passed, spells=spells)
        return replace(now, began=before.began, raised=before.raised, spells=spells)


def persisting(
    diagnoses: Sequence[Diagnosis],
    moments: Sequence[Moment],
    setting: Setting,
    persists: int | None = None,
) -> list[Finding]:
    """The findings of a run that was measured before; see `Course`."""
    course = Course(diagnoses, persists)
    for moment in moments:
        course.add(moment, setting)
    return course.findings


def settled(
    diagnoses: Mapping[str, Diagnosis],
    silence: Sequence[str],
    thresholds: Mapping[str, Mapping[str, float]],
) -> list[Diagnosis]:
    """The diagnoses that are made, with the thresholds that are asked for.

    Args:
        diagnoses: All there are, by name.
        silence: Names of those that are not made, or one name.
        thresholds: Name → threshold → value.

    Raises:
        UserError: If they are not names, or a name or a threshold is unknown.
    """
    names = [silence] if isinstance(silence, str) else silence
    if not isinstance(names, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UserError(f"silence must be names of findings, got {silence!r}")
    if not isinstance(thresholds, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UserError(f"thresholds must be {{finding: {{threshold: value}}}}, got {thresholds!r}")
    quiet = [diagnoses[name].name for name in names]
    changed: dict[str, Mapping[str, Any]] = {
        diagnoses[name].name: given for name, given in thresholds.items()
    }
    return [
        one.with_thresholds(changed.get(one.name, {}))
        for one in diagnoses.values()
        if one.name not in quiet
    ]
