"""The two phases of a comparison, recorded as they go."""

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from talweg.data import Splits
from talweg.lanes import Plan, Reading, Result
from talweg.metrics import Metric
from talweg.study.contenders import Contender
from talweg.study.folder import RunFolder, read_metrics
from talweg.study.history import History, Lane
from talweg.study.live import Display
from talweg.study.pruning import Pruner, margin, saving
from talweg.study.ranking import rank
from talweg.study.teams import Team
from talweg.study.tuning import best_rate, near_best

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
        teams: The contenders, with the engines that train them.
        splits: The prepared data.
        metrics: What is measured besides the loss; the first decides.
        record: The study's record; kept up to date and written at every turn.
        folder: Where to.
        display: What the user sees.
        check: Called every few steps; it raises to end the training.
    """

    def __init__(
        self,
        teams: Sequence[Team],
        splits: Splits,
        metrics: Sequence[Metric],
        record: dict[str, Any],
        folder: RunFolder,
        display: Display,
        check: Callable[[], None],
    ) -> None:
        self._teams = teams
        self._splits = splits
        self._metrics = metrics
        self._record = record
        self._folder = folder
        self._display = display
        self._check = check
        self._contenders = {each.name: each for team in teams for each in team.contenders}
        self._began = self._flushed = time.monotonic()

    def run(self, tune_seeds: Sequence[int], seeds: Sequence[int], prune: bool) -> None:
        """Both phases. Ctrl-C ends them and keeps what was done.

        Args:
            tune_seeds: What rates are chosen on.
            seeds: What the chosen ones are trained on.
            prune: Whether rates that are behind in tuning are stopped.
        """
        status = "failed"
        try:
            self._tune(tune_seeds, prune)
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

    def _tune(self, seeds: Sequence[int], prune: bool) -> None:
        rates = len(next(iter(self._contenders.values())).lrs)
        chosen = [
            [
                (each, each.lrs[place], seed)
                for place in middle_out(rates)
                for seed in seeds
                for each in team.contenders
            ]
            for team in self._teams
        ]
        for team, lanes in zip(self._teams, self._numbered("tune", "tuning", chosen), strict=True):
            self._train(team, lanes, ["validation"], keep=False, prune=prune)
        if prune:
            self._tell_saving()

    def _tell_saving(self) -> None:
        spared = saving(self._history())
        self._record["pruned"] = vars(spared)
        self._record["log"].append(str(spared))
        self._display.say(str(spared))

    def _finish(self, seeds: Sequence[int]) -> None:
        history = self._history()
        if self._record["target"] is None:
            self._record["target"] = near_best(history)
        best = {name: best_rate(history, name) for name in self._contenders}
        chosen = [
            [
                (each, rate.lr, seed)
                for each in team.contenders
                if (rate := best[each.name])
                for seed in seeds
            ]
            for team in self._teams
        ]
        numbered = self._numbered("final", "fresh seeds", chosen)
        results = [
            self._train(team, lanes, ["validation", "test"], keep=True)
            for team, lanes in zip(self._teams, numbered, strict=True)
        ]
        self._keep_winner(results)

    def _numbered(
        self, phase: str, shown: str, chosen: Sequence[Sequence[tuple[Contender, float, int]]]
    ) -> list[list[Lane]]:
        """The lanes of each team in a phase, entered in the record and on the screen."""
        number = itertools.count(len(self._record["lanes"]))
        lanes = [
            [Lane(next(number), phase, each.name, lr, seed) for each, lr, seed in team]
            for team in chosen
        ]
        every = [lane for team in lanes for lane in team]
        self._record["lanes"] += [vars(lane) for lane in every]
        self._folder.write_record(self._record)
        self._display.begin(shown, every)
        return lanes

    def _train(
        self,
        team: Team,
        lanes: Sequence[Lane],
        held_out: Sequence[str],
        keep: bool,
        prune: bool = False,
    ) -> Result:
        runs = [(self._contenders[lane.contender], lane.lr, lane.seed) for lane in lanes]
        plan = team.plan(runs, self._splits, self._metrics, held_out, keep, lanes[0].lane)
        if prune:
            plan, read = self._pruned(team, lanes, plan)
        else:
            read = self._read
        result = team.engine.train(plan, read, self._tick)
        self._folder.flush()
        return result

    def _pruned(
        self, team: Team, lanes: Sequence[Lane], plan: Plan
    ) -> tuple[Plan, Callable[[Reading], None]]:
        """A plan that stops the rates which are behind, and what is to be told its readings."""
        task, epoch_steps = self._record["task"], team.engine.epoch_steps
        assert epoch_steps is not None
        sign = 1 if task["higher_is_better"] else -1
        close = margin(task, self._record["data"]["validation"])
        pruner = Pruner(lanes, team.steps, task["metric"], sign, close)

        def read(reading: Reading) -> None:
            pruner.read(reading)
            self._read(reading)

        def stop(step: int) -> list[int]:
            chosen = pruner.stop(step)
            for lane in chosen:
                self._folder.add(lane, step, step / epoch_steps, "train", "stopped", 1.0)
            self._display.stop(chosen)
            return chosen

        return replace(plan, stop=stop), read

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

    def _keep_winner(self, results: Sequence[Result]) -> None:
        history = self._history()
        winner = rank(history)[0]
        place = next(
            place
            for place, team in enumerate(self._teams)
            if winner.name in {each.name for each in team.contenders}
        )
        layout, states = self._teams[place].engine.layout, results[place].states
        tensors = {
            f"{lane.seed}/{name}": value
            for lane in history.of("final", winner.name)
            for name, value in layout.state_dict(*states[lane.lane]).items()
        }
        about = {
            "contender": winner.name,
            "rule": winner.rule,
            "levels": winner.levels,
            "settings": winner.settings,
            "keys": "SEED/PARAMETER",
        }
        self._folder.write_checkpoint(tensors, about)
