"""A study that was run: its ranking, its curves, its winner."""

import os
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from types import NoneType
from typing import Any

from torch import Tensor

from talweg.core import Registry, Rule, UserError
from talweg.rules import RULES, NamedRule
from talweg.study import folder, ranking, words
from talweg.study.findings import LaneFinding, findings_of
from talweg.study.history import History
from talweg.study.ranking import Row
from talweg.study.sentences import sentences

WRITERS: Registry[Callable[["Study", Path], Path]] = Registry("report format")
"""How a study is written for people; the report room adds ``"html"``."""


class Study:
    """One comparison of rules, read from what its run folder holds.

    Attributes:
        record: What was asked and on what machine: the folder's study.json.
        metrics: Every reading: lane, step, epoch, split, metric, value.
        folder: The run folder.
        rules: The rules that were compared, by name, where they are known; `rule` and `best` need
            them only for classes that are not talweg's own.
    """

    def __init__(
        self,
        record: dict[str, Any],
        metrics: Any,
        folder: Path,
        rules: Mapping[str, NamedRule] | None = None,
    ) -> None:
        self.record = record
        self.metrics = metrics
        self.folder = folder
        self.rules = dict(rules or {})

    @cached_property
    def history(self) -> History:
        """The readings by lane."""
        return History(self.record, self.metrics)

    @cached_property
    def ranking(self) -> list[Row]:
        """One row per contender, best first: a rule, or its combination with what else varies."""
        return ranking.rank(self.history)

    @cached_property
    def sentences(self) -> list[str]:
        """What the study found, the most important first."""
        return sentences(self.history, self.ranking)

    @property
    def findings(self) -> list[LaneFinding]:
        """What went wrong in which lane: of tuning first, then of the fresh seeds."""
        every = [
            each for name in self.history.contenders for each in findings_of(self.history, name)
        ]
        return sorted(every, key=lambda each: each.lane.lane)

    @property
    def partial(self) -> bool:
        """Whether it was stopped before its end."""
        return self.record["status"] != "complete"

    @property
    def ranked_on(self) -> str:
        """The part of the data that the ranking's scores come from: test, or validation."""
        return ranking.ranked_on(self.history)

    @property
    def best(self) -> Rule:
        """The winning rule with its hyperparameters.

        Raises:
            UserError: If nothing was measured.
        """
        if not self.ranking:
            raise UserError("the study ended before its first reading: there is no best rule yet")
        return self.rule(self.ranking[0])

    def rule(self, row: Row) -> Rule:
        """The rule of a row, with the hyperparameters it was trained with.

        Raises:
            UserError: If it is of a class of the user's own and the study comes from its folder.
        """
        base = row.rule.partition("(")[0]
        if base in RULES:
            return RULES[base].rule.changed(**row.settings)
        if row.rule in self.rules:
            return self.rules[row.rule].with_lr(row.lr)
        raise UserError(f"{row.rule} is not one of talweg's rules; its settings are {row.settings}")

    def params(self, seed: int | None = None) -> dict[str, Tensor]:
        """The trained parameters of the winner, as a state dict for the model.

        Args:
            seed: One of the fresh seeds; None for the first.

        Raises:
            UserError: If there is no winner yet, or none with that seed.
        """
        if not self.ranking:
            raise UserError("the study ended before there was a winner")
        tensors = folder.read_checkpoint(self.folder, self.ranking[0].name)
        seeds = sorted({int(name.partition("/")[0]) for name in tensors})
        wanted = seeds[0] if seed is None else seed
        if wanted not in seeds:
            raise UserError(f"seed must be one of {', '.join(map(str, seeds))}, got {seed}")
        start = f"{wanted}/"
        return {n.removeprefix(start): v for n, v in tensors.items() if n.startswith(start)}

    def to_pandas(self) -> Any:
        """The ranking as a pandas DataFrame, one row per contender, one column per factor.

        Raises:
            UserError: If pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise UserError("to_pandas needs pandas: pip install 'talweg[pandas]'") from error
        rows = [
            {**vars(row), **{factor.replace(" ", "_"): name for factor, name in row.levels.items()}}
            for row in self.ranking
        ]
        return pandas.DataFrame(rows).drop(columns="levels", errors="ignore")

    def report(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Writes the report, one self-contained HTML page, and returns where it lies.

        Args:
            path: Where to; None for report.html in the run folder.

        Raises:
            UserError: If it cannot be written there.
        """
        if not isinstance(path, (str, os.PathLike, NoneType)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UserError(f"the report's place is a path, got {path!r}")
        where = Path(path) if path else self.folder / "report.html"
        try:
            return WRITERS["html"](self, where)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise UserError(f"cannot write the report to {str(where)!r}: {reason}") from error

    def __repr__(self) -> str:
        task = self.record["task"]
        lines = [f"Study({str(self.folder)!r}, {self.record['status']})"]
        lines += [
            f"  {row.rank}. {row.label:20} lr {words.rate(row.lr):8} "
            f"{self.ranked_on} {task['metric']} {words.score(row.score, task)}"
            for row in self.ranking
        ]
        return "\n".join(lines)


def load(path: str | os.PathLike[str]) -> Study:
    """A study from its run folder, whatever state that was left in.

    Raises:
        UserError: If the folder holds no study.
    """
    if not isinstance(path, (str, os.PathLike)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UserError(f"a run folder is a path, got {path!r}")
    where = Path(path)
    study = Study(folder.read_record(where), folder.read_metrics(where), where)
    expected, found = study.record.get("rows"), len(study.metrics)
    if expected is not None and found < expected:
        raise UserError(
            f"{str(where)!r} is damaged: {found} of its {expected} rows of metrics are left"
        )
    try:
        _ = study.ranking
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise UserError(f"the record of {str(where)!r} is damaged: {error!r}") from error
    return study
