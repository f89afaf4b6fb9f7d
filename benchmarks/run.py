"""`make bench`: what talweg costs, side by side with a plain PyTorch loop, in one run.

    python benchmarks/run.py [--repeats 3] [--out benchmarks/results]

It measures `talweg compare digits` as a whole process, with an empty and with a warm compile cache,
and the training of the same lanes inside one process against a loop over them. One JSON file with
every figure and where it comes from is written, and a table is printed.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import nn, optim

import talweg
from talweg.data import BatchOrder, Splits
from talweg.lanes import Engine, Plan
from talweg.models import ModelSource, mlp_source
from talweg.rules import RULES, STANDARD, default_lrs
from talweg.study.record import processor

EPOCHS, BATCH = 20, 64
TORCH: dict[str, Callable[..., optim.Optimizer]] = {
    "sgd": optim.SGD,
    "momentum": lambda p, lr: optim.SGD(p, lr, momentum=0.9),
    "nesterov": lambda p, lr: optim.SGD(p, lr, momentum=0.9, nesterov=True),
    "adagrad": optim.Adagrad,
    "rmsprop": lambda p, lr: optim.RMSprop(p, lr, alpha=0.9),
    # torch has no RMSProp with Nesterov momentum; its heavy-ball form does the same work.
    "rmsprop-nesterov": lambda p, lr: optim.RMSprop(p, lr, alpha=0.9, momentum=0.9),
    "adam": optim.Adam,
}


def whole_command(cache: Path, compiler: bool = True) -> dict[str, float]:
    """Seconds and peak memory (MB, the largest process) of `talweg compare digits`."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(cache)}
        if not compiler:
            environment["PATH"] = folder
        command = [sys.executable, "-m", "talweg", "compare", "digits", "--quiet"]
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
    if status != 0:
        raise SystemExit(f"{' '.join(command)} ended with status {status}")
    return {"seconds": seconds, "peak_mb": usage.ru_maxrss / 1024}


def the_lanes() -> list[tuple[str, float, int]]:
    """``(rule, rate, seed)`` of every lane of the default comparison."""
    tuned = [
        (name, lr, seed)
        for name in STANDARD
        for lr in default_lrs(RULES[name].rule)
        for seed in (1000, 1001)
    ]
    final = [
        (name, default_lrs(RULES[name].rule)[4], seed) for name in STANDARD for seed in range(5)
    ]
    return tuned + final


def engine_for(source: ModelSource, data: Splits) -> Engine:
    """One engine for both phases, as `talweg.compare` has it; it compiles at its first step."""
    return Engine(
        source, data.train, loss=None, batch_size=BATCH, strategy="stacked", device="cpu",
        compiled=True, lane_counts=[126, 35], lane_steps=0, say=print,
    )  # fmt: skip


def with_talweg(engine: Engine) -> float:
    """Seconds to train all lanes, those of tuning first and then the final ones."""
    began = time.perf_counter()
    for part in (the_lanes()[:126], the_lanes()[126:]):
        rules = [RULES[name].with_lr(lr) for name, lr, _ in part]
        seeds = [seed for _, _, seed in part]
        engine.train(Plan(rules, seeds, EPOCHS * engine.epoch_steps, (), {}))
    return time.perf_counter() - began


def with_a_loop(source: ModelSource, data: Splits) -> float:
    """Seconds to train the same lanes one after another with torch.optim's defaults."""
    x, y = data.train.x, data.train.y
    began = time.perf_counter()
    for name, lr, seed in the_lanes():
        model, order = source.build(seed), BatchOrder(len(x), BATCH, seed)
        optimizer = TORCH[name](model.parameters(), lr=lr)
        for step in range(EPOCHS * order.steps_per_epoch):
            batch = order.batch(step)
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x[batch]), y[batch])
            loss.backward()
            optimizer.step()
    return time.perf_counter() - began


def provenance() -> dict[str, object]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": version("torch"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        cold = whole_command(Path(cache))
        warm = [whole_command(Path(cache)) for _ in range(asked.repeats)]
        plain = [whole_command(Path(cache), compiler=False) for _ in range(asked.repeats)]
    data = talweg.data.split(talweg.data.load("digits"))
    source = mlp_source(64, 10)
    engine = engine_for(source, data)
    first = with_talweg(engine)  # compiles
    pairs = [(with_talweg(engine), with_a_loop(source, data)) for _ in range(asked.repeats)]
    ratios = [loop / ours for ours, loop in pairs]
    ours, loop = (statistics.median(pair[i] for pair in pairs) for i in (0, 1))
    steps = len(the_lanes()) * EPOCHS * BatchOrder(len(data.train), BATCH, 0).steps_per_epoch
    figures = {
        "compare digits, empty compile cache": cold,
        "compare digits, warm compile cache": warm,
        "compare digits, no compiler": plain,
        "lanes": len(the_lanes()),
        "lane steps": steps,
        "talweg, first call (compiles), seconds": first,
        "talweg, seconds": [pair[0] for pair in pairs],
        "plain loop, seconds": [pair[1] for pair in pairs],
        "loop / talweg": ratios,
    }
    asked.out.mkdir(exist_ok=True)
    path = asked.out / "digits.json"
    path.write_text(json.dumps({"provenance": provenance(), "figures": figures}, indent=1) + "\n")

    table = Table("measured", "figure", "asked", box=None, header_style="dim")
    middle, uncompiled = (
        statistics.median(run["seconds"] for run in runs) for runs in (warm, plain)
    )
    peak = max(run["peak_mb"] for run in (cold, *warm, *plain))
    table.add_row("talweg compare digits, empty cache", f"{cold['seconds']:.1f} s", "≤ 60 s")
    table.add_row("talweg compare digits, warm cache, median", f"{middle:.1f} s", "≤ 30 s")
    table.add_row("talweg compare digits, no compiler, median", f"{uncompiled:.1f} s", "")
    table.add_row("peak memory", f"{peak:.0f} MB", "< 1500 MB")
    table.add_row(
        f"{len(the_lanes())} lanes, talweg, per lane and step", f"{ours / steps * 1e6:.0f} µs", ""
    )
    table.add_row(
        "the same lanes, plain loop, per lane and step", f"{loop / steps * 1e6:.0f} µs", ""
    )
    table.add_row("loop / talweg, median", f"{statistics.median(ratios):.1f}", "≥ 6")
    Console().print(table)
    print(f"written to {path}")


if __name__ == "__main__":
    main()
