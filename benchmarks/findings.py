"""What `talweg.watch` says of healthy runs, and of runs in which a disease is planted.

    python benchmarks/findings.py [--healthy 200] [--each 20] [--first 40000] [--json FILE]

Run number n is drawn with seed n. The thresholds were chosen on seeds below 40,000.
"""

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from random import Random

import torch
from diseases import PLANTED
from planting import healthy
from run import provenance
from runs import Run, constant

import talweg
from talweg.diagnose import Health
from talweg.diagnose.findings import Course

SEVERITY = {"off-centre": "warning"}
"""Of a finding that is not expected to be a problem."""
WITHIN = 50
"""Steps after its onset within which a disease is to be found."""
FIRST = 40_000
"""The first seed; thresholds were chosen on lower ones."""
SETTLED = 10
"""Steps after which a rate that is planted shows."""
TAIL = 30
"""Last losses that a run at a rate which is planted is compared by with one at a usual rate."""


@dataclass
class Outcome:
    """What was said of a run.

    Attributes:
        seed: It was drawn with.
        about: What it is.
        disease: What was planted; empty for a healthy run.
        layer: Where.
        onset: From which step on.
        found: Name, severity, layer, first step and the step at which it was told, of each finding;
            of one that became worse for each severity.
        drawn: How many runs were drawn until one took.
    """

    seed: int
    about: str
    disease: str
    layer: str
    onset: int
    found: list[tuple[str, str, str, int, int]]
    drawn: int

    @property
    def delays(self) -> list[int]:
        """Steps from the onset to each finding of what was planted where it was."""
        return [
            told - self.onset
            for name, severity, layer, _, told in self.found
            if (name, layer) == (self.disease, self.layer)
            and severity in (SEVERITY.get(name, "problem"), "problem")
            and told >= self.onset
        ]

    @property
    def is_found(self) -> bool:
        """Whether it was found in the right layer, and in time."""
        return any(delay <= WITHIN for delay in self.delays)

    @property
    def is_named(self) -> bool:
        """Whether it was found in time in any layer."""
        return any(
            name == self.disease and 0 <= told - self.onset <= WITHIN
            for name, _, _, _, told in self.found
        )


def made(make: Callable[[Random], Run], seed: int) -> Run:
    """The run of a seed."""
    torch.manual_seed(seed)
    return make(Random(seed))


def takes(run: Run, losses: Sequence[float], twin: Callable[[], Run], seed: int) -> bool:
    """Whether a run was what it is drawn as, told by its losses alone.

    A healthy one learns: its last losses are at most 0.85 of a constant prediction's. One at a rate
    that is planted is worse than the same one at a usual rate: too large a rate leaves at least
    twice its loss, and at least a quarter of the first one, from 10 to 50 steps on; too small a
    rate at least 1.3 times its loss in the end. A wrong start is at least 5 times the loss of a
    constant prediction. Other diseases are there for sure.
    """
    tail = statistics.mean(losses[-TAIL:])
    if not run.disease:
        return tail <= 0.85 * constant(run.data)
    if run.disease == "wrong start":
        return losses[0] >= 5 * constant(run.data) * run.scale**2
    if not run.usual_lr:
        return True
    usual = twin()
    usual.plant = lambda: None
    for group in usual.optimizer.param_groups:
        group["lr"] = usual.usual_lr
    others = usual.train(seed)
    if run.disease == "learning rate too small":
        return tail >= 1.3 * statistics.mean(others[-TAIL:])
    soon = slice(run.onset + SETTLED, run.onset + WITHIN)
    hot, without = statistics.mean(losses[soon]), statistics.mean(others[soon])
    return not math.isfinite(hot) or hot >= max(2 * without, losses[0] / 4)


def watched(make: Callable[[Random], Run], seed: int) -> tuple[Outcome, Health]:
    """A run of a seed, or of the next one that takes, and what was measured of it."""
    for drawn, own in enumerate(count(seed, 1_000_000), 1):
        run = made(make, own)
        with talweg.watch(run.model, run.optimizer) as health:
            losses = run.train(own)
        if takes(run, losses, lambda own=own: made(make, own), own):
            about = own, run.about, run.disease, run.layer, run.onset
            return Outcome(*about, told(health), drawn), health
    raise AssertionError


def told(health: Health) -> list[tuple[str, str, str, int, int]]:
    """The findings of a run, as `Outcome` has them: each severity with the step it was told at."""
    course, found = Course(health.diagnoses), dict[tuple[str, str, str], tuple[int, int]]()
    for moment in health.moments:
        course.add(moment, health.setting)
        for one in course.findings:
            found.setdefault((one.name, one.severity, one.layer), (one.began, moment.step))
    return [(*what, *when) for what, when in found.items()]


def every(healthy_runs: int, each: int, first: int) -> Iterator[tuple[Outcome, Health]]:
    """All runs, the healthy ones first."""
    for seed in range(first, first + healthy_runs):
        yield watched(healthy, seed)
    for make in PLANTED.values():
        for seed in range(first, first + each):
            yield watched(make, seed)


def confusion(outcomes: Sequence[Outcome]) -> dict[str, dict[str, float]]:
    """Planted disease → finding → share of its runs in which it was told as a problem.

    For outputs that are off-centre, which is a warning, as that or a problem.
    """
    table: dict[str, dict[str, float]] = {}
    for disease in ("", *PLANTED):
        own = [one for one in outcomes if one.disease == disease]
        if own:
            table[disease or "healthy"] = {
                name: statistics.mean(
                    any(
                        f[0] == name and f[1] in (SEVERITY.get(disease), "problem")
                        for f in one.found
                    )
                    for one in own
                )
                for name in PLANTED
            }
    return table


def summary(outcomes: Sequence[Outcome]) -> dict[str, dict[str, float]]:
    """How much of what was planted was found, disease by disease."""
    rows: dict[str, dict[str, float]] = {}
    for disease in (*PLANTED, ""):
        own = [one for one in outcomes if one.disease and disease in (one.disease, "")]
        delays = [min(one.delays) for one in own if one.delays]
        if own:
            rows[disease or "all"] = {
                "runs": len(own),
                "found, right layer, in time": statistics.mean(one.is_found for one in own),
                "found in any layer": statistics.mean(one.is_named for one in own),
                "delay, median": statistics.median(delays) if delays else math.nan,
                "delay, max": max(delays, default=math.nan),
                "drawn": sum(one.drawn for one in own),
            }
    return rows


def show(title: str, table: dict[str, dict[str, float]]) -> None:
    """Prints a table."""
    if not table:
        return
    columns = list(next(iter(table.values())))
    sys.stdout.write(f"\n| {title} | {' | '.join(columns)} |\n| --- |{' ---: |' * len(columns)}\n")
    for name, row in table.items():
        cells = ("" if value == 0 else f"{value:.3g}" for value in row.values())
        sys.stdout.write(f"| {name} | {' | '.join(cells)} |\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--healthy", type=int, default=200)
    parser.add_argument("--each", type=int, default=20)
    parser.add_argument("--first", type=int, default=FIRST)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    began = time.perf_counter()
    outcomes = [outcome for outcome, _ in every(asked.healthy, asked.each, asked.first)]
    well = [one for one in outcomes if not one.disease]
    false = [one for one in well if any(found[1] == "problem" for found in one.found)]
    for one in outcomes:
        if one in false or (one.disease and not one.is_found):
            sys.stdout.write(
                f"{one.seed} {one.disease or 'healthy'} at {one.layer!r}: {one.about}\n"
            )
            sys.stdout.write(f"    {one.found}\n")
    table, rows = confusion(outcomes), summary(outcomes)
    show("planted, and what was told", table)
    show("planted", rows)
    share = len(false) / max(len(well), 1)
    sys.stdout.write(
        f"\n{len(false)} of {len(well)} healthy runs with a false problem ({share:.1%})\n"
    )
    if asked.json:
        about = {
            **provenance(),
            "healthy": asked.healthy,
            "each": asked.each,
            "first": asked.first,
            "seconds": round(time.perf_counter() - began, 1),
        }
        found = {
            "provenance": about,
            "false problems": share,
            "summary": rows,
            "confusion": table,
            "runs": [asdict(one) for one in outcomes],
        }
        asked.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
