"""What `talweg.watch` costs: the same loops with and without it, in turn.

    python benchmarks/watch.py [--task NAME …] [--rounds N] [--json FILE]

Each task in a process of its own; the one whose steps take least in several, one after the other,
as where a process lies in memory changes its ratio by 2%. Process time of one thread, so that what
else runs on the machine weighs little; wall time of training and evaluation for a study. A figure
is the median over rounds of the ratio of a watched loop to the unwatched one of the same round; the
order within a round is drawn.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

import torch
from run import provenance
from runs import samples
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import talweg
from talweg.study import teams
from talweg.study.runner import Runner

WAYS: dict[str, dict[str, Any] | None] = {
    "unwatched": None,
    "light": {},
    "full, every 50": {"tier": "full", "every": 50},
}
"""What `talweg.watch` is given; None where it is left out."""
STUDY, STUDIES = "lanes of a study", 9
LIMITS = {
    STUDY: {"light": 1.1},
    "digits MLP": {"light": 1.15, "full, every 50": 1.25},
    "ResNet-18": {"light": 1.05, "full, every 50": 1.25},
}
"""What a loop may take of the time of the unwatched one."""


class Residual(nn.Module):
    """Two 3×3 convolutions beside a path around them."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.around = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.around = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )
        self.end = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """``[batch, inputs, height, width]`` → ``[batch, outputs, …]``."""
        return self.end(self.body(x) + self.around(x))


def resnet() -> nn.Module:
    """ResNet-18 for images of 32×32 pixels."""
    blocks: list[nn.Module] = []
    inputs = 64
    for stage, channels in enumerate((64, 128, 256, 512)):
        for block in range(2):
            blocks.append(Residual(inputs, channels, 2 if stage and not block else 1))
            inputs = channels
    stem = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


def perceptron() -> nn.Module:
    """64-128-128-10 with ReLU."""
    return nn.Sequential(
        nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)
    )


@dataclass(frozen=True)
class Task:
    """A loop that is timed.

    Attributes:
        model: Makes the model.
        optimizer: Of the model's parameters.
        data: Inputs and classes.
        batch: Samples of a step.
        steps: Of a round.
        rounds: In each process.
        processes: One after the other.
    """

    model: Callable[[], nn.Module]
    optimizer: Callable[[Any], torch.optim.Optimizer]
    data: Callable[[], tuple[Tensor, Tensor]]
    batch: int
    steps: int
    rounds: int
    processes: int = 1

    def seconds(self, watched: Mapping[str, Any] | None) -> float:
        """Process seconds of a loop, with entering and leaving the watch."""
        torch.manual_seed(0)
        model = self.model()
        optimizer = self.optimizer(model.parameters())
        x, y = self.data()
        draws = torch.Generator().manual_seed(0)
        began = time.process_time()
        with nullcontext() if watched is None else talweg.watch(model, optimizer, **watched):
            for _ in range(self.steps):
                rows = torch.randint(len(x), (self.batch,), generator=draws)
                optimizer.zero_grad()
                cross_entropy(model(x[rows]), y[rows]).backward()
                optimizer.step()
        return time.process_time() - began


def images() -> tuple[Tensor, Tensor]:
    """Random ones: what they show takes no time."""
    draws = torch.Generator().manual_seed(0)
    return torch.randn(256, 3, 32, 32, generator=draws), torch.randint(10, (256,), generator=draws)


TASKS = {
    "digits MLP": Task(
        perceptron,
        lambda p: torch.optim.Adam(p, 1e-3),
        lambda: samples("digits")[:2],
        64,
        1000,
        7,
        7,
    ),
    "ResNet-18": Task(resnet, lambda p: torch.optim.SGD(p, 0.05, momentum=0.9), images, 32, 100, 3),
}


def study_seconds(is_probed: bool) -> float:
    """Seconds of training and evaluation of a comparison of the digits, on all cores."""
    probe, train, seconds = teams.Probe, Runner._train, list[float]()

    def timed(self: Runner, *given: Any, **more: Any) -> Any:
        began = time.perf_counter()
        found = train(self, *given, **more)
        seconds.append(time.perf_counter() - began)
        return found

    Runner._train = timed
    if not is_probed:
        teams.Probe = lambda _: None  # pyright: ignore
    try:
        with tempfile.TemporaryDirectory() as folder:
            talweg.compare(data="digits", out=Path(folder) / "run", progress=False)
    finally:
        teams.Probe, Runner._train = probe, train
    return sum(seconds)


def study(rounds: int) -> list[dict[str, float]]:
    """Seconds of a study's lanes in each round, watched and not."""
    study_seconds(True)
    found: list[dict[str, float]] = []
    for turn in range(rounds):
        sides = {way: study_seconds(way) for way in (bool(turn % 2), not turn % 2)}
        found.append({"unwatched": sides[False], "light": sides[True]})
    return found


def loop(name: str, rounds: int, seed: int) -> list[dict[str, float]]:
    """Seconds of one of `TASKS` in each round, in each of `WAYS`."""
    torch.set_num_threads(1)
    order, task = Random(seed), TASKS[name]
    task.seconds({})
    return [
        {way: task.seconds(WAYS[way]) for way in order.sample(list(WAYS), len(WAYS))}
        for _ in range(rounds)
    ]


def alone(function: Callable[..., list[dict[str, float]]], *given: Any) -> list[dict[str, float]]:
    """What a function returns in a process of its own, as a user's loop has: a study loads
    PyTorch's compiler."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(function, *given).result()


def measured(name: str, rounds: int | None) -> dict[str, Any]:
    """What watching a task costs, told and returned."""
    if name == STUDY:
        seconds, about = alone(study, rounds or STUDIES), ""
    else:
        task = TASKS[name]
        seconds = [
            each
            for seed in range(task.processes)
            for each in alone(loop, name, rounds or task.rounds, seed)
        ]
        about = f", {1e3 * median(seconds, 'unwatched') / task.steps:.2f} ms a step"
    figures: dict[str, Any] = {"seconds, unwatched": [each["unwatched"] for each in seconds]}
    for way, asked in LIMITS[name].items():
        ratios = [each[way] / each["unwatched"] for each in seconds]
        figures[f"ratios, {way}"] = ratios
        sys.stdout.write(
            f"{name}{about}, {way}: {statistics.median(ratios):.3f} (asked: {asked}), "
            f"{min(ratios):.3f} to {max(ratios):.3f} in {len(ratios)} rounds\n"
        )
    return figures


def median(rounds: list[dict[str, float]], way: str) -> float:
    """Over the rounds."""
    return statistics.median(each[way] for each in rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, help="in each process, in place of each task's own")
    parser.add_argument("--task", choices=[*TASKS, STUDY], action="append")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    figures = {name: measured(name, asked.rounds) for name in asked.task or LIMITS}
    if asked.json:
        about = {**provenance(), "time": "process time of one thread; wall time of a study"}
        asked.json.write_text(
            json.dumps({"provenance": about, "figures": figures}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
