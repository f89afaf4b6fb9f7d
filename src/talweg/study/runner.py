"""The two phases of a comparison, recorded as they go."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from talweg.data import Samples, Splits
from talweg.lanes import Engine, Plan, Reading, Result
from talweg.rules import NamedRule
from talweg.study.folder import RunFolder, read_metrics
from talweg.study.history import History, Lane
from talweg.study.live import Display
from talweg.study.ranking import best_rate, near_best, rank

FLUSH_SECONDS, FLUSH_SHARE = 0.5, 0.02
"""A kill loses no more than this many seconds, or this share of a long study."""


def middle_out(count: int) -> list[int]:
    """Places from the middle of a list to its ends.

    Where lanes run one after another, the likelier rates of every rule come first this way, and
    Ctrl-C leaves a ranking of equal budgets.

    >>> middle_out(5), middle_out(2)
    ([2, 1, 3, 0, 4], [0, 1])
    """
    return sorted(range(count), key=lambda place: abs(2 * place - (count - 1)))


class Runner:
    """Runs tuning and the final phase, and records what comes of them.

    Args:
        engine: What trains.
        plan: What both phases share: steps, schedules, metrics; its lanes are replaced.
        splits: The prepared data.
        rules: The rules by name.
        record: The study's record; kept up to date and written at every turn.
        folder: Where to.
        display: What the user sees.
        check: Called every few steps; it raises to end the training.
    """

    def __init__(
        self,
        engine: Engine,
        plan: Plan,
        splits: Splits,
        rules: Mapping[str, NamedRule],
        record: dict[str, Any],
        folder: RunFolder,
        display: Display,
        check: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._plan = plan
        self._splits = splits
        self._rules = rules
        self._record = record
        self._folder = folder
        self._display = display
        self._check = check
        self._began = self._flushed = time.monotonic()

    def run(self, tune_seeds: Sequence[int], seeds: Sequence[int]) -> None:
        """Both phases. Ctrl-C ends them and keeps what was done."""
        status = "failed"
        try:
            self._tune(tune_seeds)
            self._finish(seeds)
            status = "complete"
        except KeyboardInterrupt:
            status = "interrupted"
        finally:
            self._record["status"] = status
            self._record["seconds"] = round(time.monotonic() - self._began, 2)
            self._folder.flush()
            self._record["rows"] = self._folder.rows
            self._folder.write_record(self._record)

    def _tune(self, seeds: Sequence[int]) -> None:
        rules = self._record["rules"]
        lanes = [
            (rule["name"], rule["lrs"][place], seed)
            for place in middle_out(len(rules[0]["lrs"]))
            for seed in seeds
            for rule in rules
        ]
        self._train("tune", "tuning", lanes, {"validation": self._splits.validation})

    def _finish(self, seeds: Sequence[int]) -> None:
        history = self._history()
        if self._record["target"] is None:
            self._record["target"] = near_best(history)
        chosen = {rule["name"]: best_rate(history, rule["name"]) for rule in self._record["rules"]}
        lanes = [(name, rate.lr, seed) for name, rate in chosen.items() if rate for seed in seeds]
        held_out = {"validation": self._splits.validation, "test": self._splits.test}
        result = self._train("final", "fresh seeds", lanes, held_out)
        self._keep_winner(result)

    def _train(
        self,
        phase: str,
        shown: str,
        lanes: Sequence[tuple[str, float, int]],
        held_out: Mapping[str, Samples],
    ) -> Result:
        first = len(self._record["lanes"])
        entries = [
            Lane(first + i, phase, rule, lr, seed) for i, (rule, lr, seed) in enumerate(lanes)
        ]
        self._record["lanes"] += [vars(entry) for entry in entries]
        self._folder.write_record(self._record)
        self._display.begin(shown, entries)
        plan = replace(
            self._plan,
            rules=[self._rules[rule].with_lr(lr) for rule, lr, _ in lanes],
            seeds=[seed for _, _, seed in lanes],
            schedules=[*self._plan.schedules] * len(lanes),
            evaluate=held_out,
            first_lane=first,
            keep=phase == "final",
        )
        result = self._engine.train(plan, self._read, self._tick)
        self._folder.flush()
        return result

    def _tick(self, steps: int) -> None:
        self._display.tick(steps)
        self._check()

    def _read(self, reading: Reading) -> None:
        self._display.read(reading)
        for (split, metric), values in reading.values.items():
            for lane, value in zip(reading.lanes, values, strict=True):
                self._folder.add(lane, reading.step, reading.epoch, split, metric, value)
        if ("train", "diverged") in reading.values:
            return  # the reading of those that live on follows at once
        now = time.monotonic()
        if now - self._flushed > max(FLUSH_SECONDS, FLUSH_SHARE * (now - self._began)):
            self._folder.flush()
            self._flushed = now

    def _history(self) -> History:
        return History(self._record, read_metrics(self._folder.path))

    def _keep_winner(self, result: Result) -> None:
        history = self._history()
        winner = rank(history)[0]
        tensors = {
            f"{lane.seed}/{name}": value
            for lane in history.of("final", winner.rule)
            for name, value in self._engine.layout.state_dict(*result.states[lane.lane]).items()
        }
        about = {"rule": winner.rule, "settings": winner.settings, "keys": "SEED/PARAMETER"}
        self._folder.write_checkpoint(tensors, about)
