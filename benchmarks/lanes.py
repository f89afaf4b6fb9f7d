"""`make bench`: lanes of small models against the plain loop and JAX, and against the machine.

    python benchmarks/lanes.py [--json benchmarks/results/lanes.json] [--rounds 3] [--tasks 0,3]
    python benchmarks/lanes.py --profile 0

Every task is timed in rounds, each with the plain PyTorch loop (torch.optim.Adam, its defaults),
the same with the fused Adam, talweg's lanes as `strategy="auto"` runs them, and, for the MLPs, JAX
with optax in a process of its own. Ratios are medians over the rounds. The limit is the larger of
the arithmetic of a step at the rate of a large matrix product, the fastest one that torch has here,
and of its bytes (parameters, gradient and two moments, each read and written where it must be) at
the rate of a large copy, on all cores.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from run import provenance
from tasks import TASKS, Task
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from talweg.data import BatchOrder, Samples
from talweg.lanes import Engine, Plan
from talweg.models.own import source_of

SECONDS = 1.5
"""About how long each timed stretch takes."""
SIZES = (1, 4, 16, 64, 256, 1024)


def engine_for(task: Task, lanes: int, say: Callable[[str], None]) -> Engine:
    return Engine(
        source_of(task.build), Samples(*task.data()), loss=None, batch_size=task.batch,
        strategy="auto", device="cpu", compiled=None, lane_counts=[lanes], lane_steps=10**8,
        say=say,
    )  # fmt: skip


def train(engine: Engine, rules: list[Any], steps: int) -> float:
    """Microseconds of a lane's step."""
    plan = Plan(rules, [lane % 2 for lane in range(len(rules))], steps, (), {}, keep=False)
    began = time.perf_counter()
    engine.train(plan)
    return (time.perf_counter() - began) / steps / len(rules) * 1e6


def loop(task: Task, steps: int, fused: bool) -> float:
    """Microseconds of a step of the plain loop."""
    x, y = task.data()
    model = task.build()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=fused or None)
    order = BatchOrder(len(x), task.batch, 0)
    began = time.perf_counter()
    for step in range(steps):
        batch = order.batch(step)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
        optimizer.step()
    return (time.perf_counter() - began) / steps * 1e6


def in_jax(task: Task) -> float:
    sizes = ",".join(map(str, task.widths))
    command = [sys.executable, str(Path(__file__).parent / "lanes_jax.py"), sizes]
    asked = [str(task.batch), str(task.lanes), str(max(20, 12_000 // task.lanes))]
    done = subprocess.run([*command, *asked], capture_output=True, text=True, check=True)
    return float(done.stdout)


def enough(microseconds: float) -> int:
    """Steps that take about `SECONDS`, in whole epochs of few batches each."""
    return max(5, int(SECONDS * 1e6 / microseconds))


def best(call: Callable[[], object], repeats: int = 5) -> float:
    call()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return min(times)


def machine() -> dict[str, float]:
    """Floating-point operations and bytes a second: the best that large operators reach."""
    a, b, c = (torch.randn(2048, 2048) for _ in range(3))
    flops = 2 * 2048**3
    linear: Any = torch.ops.mkldnn._linear_pointwise
    rates = [flops / best(lambda: torch.mm(a, b, out=c))]
    rates.append(flops / best(lambda: linear(a, b, None, "none", [], "")))
    x, y = torch.randn(2**25), torch.empty(2**25)
    return {
        "flops": max(rates), "torch.mm flops": rates[0],
        "bytes": 2 * 4 * len(x) / best(lambda: y.copy_(x)),
    }  # fmt: skip


def limit(task: Task, rates: dict[str, float]) -> tuple[float, str]:
    """The microseconds that a lane's step takes at least, and what bounds it."""
    x, y = task.data()
    model = task.build()
    warnings.simplefilter("ignore", UserWarning)  # of TF32 on processors that are not here
    # Without oneDNN, whose recurrent layers the counter does not know.
    with torch.backends.mkldnn.flags(enabled=False), FlopCounterMode(display=False) as counter:
        nn.functional.cross_entropy(model(x[: task.batch]), y[: task.batch]).backward()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    arithmetic = counter.get_total_flops() / rates["flops"]
    memory = 4 * (7 * parameters + x[: task.batch].numel()) / rates["bytes"]
    return max(arithmetic, memory) * 1e6, "arithmetic" if arithmetic > memory else "memory"


def measured(task: Task, rounds: int, rates: dict[str, float]) -> dict[str, Any]:
    notes: list[str] = []
    engine = engine_for(task, task.lanes, notes.append)
    rules = task.lane_rules()
    train(engine, rules, 2 * (engine.epoch_steps or 1))  # compiles
    steps = enough(train(engine, rules, 20) * task.lanes)
    loops = enough(loop(task, 100, False))
    found: dict[str, list[float]] = {"talweg": [], "loop": [], "loop, fused": [], "jax": []}
    found["adam alone"] = []
    for _ in range(rounds):
        found["loop"].append(loop(task, loops, False))
        found["talweg"].append(train(engine, rules, steps))
        found["loop, fused"].append(loop(task, loops, True))
        if task.widths:
            found["jax"].append(in_jax(task))
        if task.rules != ("adam",):
            found["adam alone"].append(train(engine, TASKS[1].lane_rules(), steps))
    least, bound = limit(task, rates)
    ours = statistics.median(found["talweg"])
    ratios = {
        name: statistics.median(a / b for a, b in zip(values, found["talweg"], strict=True))
        for name, values in found.items()
        if values and name != "talweg"
    }
    return {
        "task": task.name, "lanes": task.lanes, "microseconds": found, "ratios": ratios,
        "asked": task.asked, "asked of jax": task.asked_jax, "limit": least, "bound by": bound,
        "share of limit": least / ours, "strategy": engine.strategy, "width": engine.width,
        "notes": notes,
    }  # fmt: skip


def scaling(task: Task) -> list[dict[str, Any]]:
    """Time and memory per lane by the number of lanes."""
    found = []
    for lanes in SIZES:
        engine = engine_for(task, lanes, lambda _: None)
        rules = [task.lane_rules()[lane % task.lanes] for lane in range(lanes)]
        train(engine, rules, 2 * (engine.epoch_steps or 1))
        steps = enough(train(engine, rules, 20) * lanes)
        time_each = statistics.median(train(engine, rules, steps) for _ in range(3))
        plan = Plan(rules, [0] * lanes, 1, (), {})
        needs = engine.needs(plan)
        peak = needs.peak(plan.lanes, min(lanes, 2 * engine.width))
        found.append(
            {
                "lanes": lanes, "microseconds": time_each, "width": engine.width,
                "strategy": engine.strategy, "bytes held by a lane": needs.each[0].held,
                "bytes of all at most": peak,
            }
        )  # fmt: skip
    return found


def compile_times() -> dict[str, float]:
    """Seconds from nothing to the end of a first epoch of 64 lanes, by what is cached."""
    code = (
        "import time, sys; sys.path.insert(0, sys.argv[1]);"
        "from lanes import TASKS, engine_for, train; import torch._inductor.compile_fx;"
        "began = time.perf_counter(); engine = engine_for(TASKS[0], 64, lambda _: None);"
        "train(engine, TASKS[0].lane_rules(), 25); train(engine, TASKS[0].lane_rules(), 25);"
        "print(time.perf_counter() - began)"
    )
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache}
        command = [sys.executable, "-c", code, str(Path(__file__).parent)]
        runs = [
            subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            for _ in range(2)
        ]
        times = [float(run.stdout) for run in runs]
    return {"empty cache": times[0], "warm cache": times[1]}


def profiled(task: Task) -> None:
    """Prints where half of a task's lanes spend their time on one core."""
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[0]})
    torch.set_num_threads(1)
    lanes = task.lanes // 2
    engine, rules = engine_for(task, lanes, print), task.lane_rules()[:lanes]
    train(engine, rules, 2 * (engine.epoch_steps or 1))
    steps = enough(train(engine, rules, 20) * lanes)
    print(f"{min(train(engine, rules, steps) for _ in range(5)):.1f} µs a lane and step")
    with torch.profiler.profile() as found:
        train(engine, rules, steps)
    parts = sorted(found.key_averages(), key=lambda part: -part.self_cpu_time_total)
    for part in parts[:16]:
        print(f"{part.self_cpu_time_total / steps / lanes:7.2f} µs  {part.key}")


def shown(rows: list[dict[str, Any]]) -> Table:
    table = Table(
        "task", "lanes", "talweg", "loop", "loop ÷ talweg", "asked", "fused ÷", "JAX ÷", "asked",
        "limit", "of it", box=None, header_style="dim",
    )  # fmt: skip
    for row in rows:
        ratios, times = row["ratios"], row["microseconds"]
        table.add_row(
            row["task"], str(row["lanes"]), f"{statistics.median(times['talweg']):,.1f} µs",
            f"{statistics.median(times['loop']):,.0f} µs", f"{ratios['loop']:.1f}",
            f"{row['asked']:g}" if row["asked"] else "", f"{ratios['loop, fused']:.1f}",
            f"{ratios['jax']:.2f}" if "jax" in ratios else "",
            f"{row['asked of jax']:g}" if row["asked of jax"] else "",
            f"{row['limit']:,.1f} µs", f"{row['share of limit']:.0%}",
        )  # fmt: skip
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tasks", default=",".join(map(str, range(len(TASKS)))))
    parser.add_argument("--profile", type=int, help="only say where a task's time goes")
    asked = parser.parse_args()
    if asked.profile is not None:
        profiled(TASKS[asked.profile])
        return
    rates = machine()
    rows = []
    for place in map(int, asked.tasks.split(",")):
        rows.append(measured(TASKS[place], asked.rounds, rates))
        print(f"{TASKS[place].name}: {rows[-1]['ratios']}", flush=True)
    sizes = scaling(TASKS[1])
    compiling = compile_times()
    console = Console(width=150)
    console.print(shown(rows))
    for row in sizes:
        print(
            f"{row['lanes']:5} lanes of the small MLP: {row['microseconds']:.1f} µs a lane and step"
        )
    print(f"64 lanes of the MLP 64-128-128-10, two first epochs: {compiling}")
    print(f"machine: {rates['flops'] / 1e9:.0f} GFLOP/s, {rates['bytes'] / 1e9:.0f} GB/s")
    if asked.json:
        versions = {name: version(name) for name in ("torch", "jax", "optax")}
        asked.json.write_text(
            json.dumps(
                {
                    "provenance": provenance() | versions, "machine": rates, "tasks": rows,
                    "lanes": sizes, "compiling": compiling,
                },
                indent=1,
            )
            + "\n"
        )  # fmt: skip


if __name__ == "__main__":
    main()
