"""One step of each optimizer beside torch.optim's implementations of it, side by side.

Run by ``make bench``; ``python benchmarks/optimizers.py --device cuda`` on a GPU.
"""

import argparse
import gc
import json
import platform
import random
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch._inductor import config as inductor_config

from talweg import optim
from talweg.core import Compiled

SIZES: dict[str, list[tuple[int, ...]]] = {
    "25 M in 5 tensors": [(5_000_000,)] * 5,
    "ResNet-18, 62 tensors": [
        (64, 3, 7, 7), (64,), (64,),
        *[shape for _ in range(4) for shape in ((64, 64, 3, 3), (64,), (64,))],
        *[
            shape
            for inner, outer in ((64, 128), (128, 256), (256, 512))
            for shape in (
                (outer, inner, 3, 3), (outer,), (outer,), (outer, outer, 3, 3), (outer,), (outer,),
                (outer, inner, 1, 1), (outer,), (outer,),
                *[s for _ in range(2) for s in ((outer, outer, 3, 3), (outer,), (outer,))],
            )
        ],
        (1000, 512), (1000,),
    ],
    "120 small tensors": [shape for _ in range(60) for shape in ((64, 64), (64,))],
}  # fmt: skip

CASES: dict[str, dict[str, object]] = {
    "SGD": {"lr": 1e-3},
    "SGD momentum": {"lr": 1e-3, "momentum": 0.9},
    "Adam": {},
    "AdamW": {},
    "Adagrad": {},
    "RMSprop": {},
    "Adadelta": {},
    "Adamax": {},
    "NAdam": {},
    "RAdam": {},
    "Rprop": {},
    "ASGD": {},
    "Adafactor": {},
    "Muon": {},
}
MADE = 3
"""Times that all arrays are made."""
OURS = ("talweg", "uncompiled")
HOW = {"plain": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}


def shapes_of(name: str, shapes: Sequence[tuple[int, ...]]) -> Sequence[tuple[int, ...]]:
    """The shapes that an optimizer takes: Muon matrices only."""
    return [shape for shape in shapes if len(shape) == 2 or name != "Muon"]


def parameters(shapes: Sequence[tuple[int, ...]], device: str) -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    made = []
    for shape in shapes:
        values = torch.randn(shape, generator=generator) * 0.1
        param = torch.nn.Parameter(values.to(device))
        param.grad = (torch.randn(shape, generator=generator) * 0.01).to(device)
        made.append(param)
    return made


def share(one: torch.optim.Optimizer, other: torch.optim.Optimizer) -> None:
    """Lets the other optimizer keep its states in the same arrays."""
    for param, state in one.state.items():
        for key, value in state.items():
            if isinstance(value, torch.Tensor) and value.shape == param.shape:
                other.state[param][key] = value


def implementations(name: str, params) -> dict[str, Callable[[], object]]:
    """Name → a step, of talweg and of every way that torch has, on the same parameters."""
    kind, options = name.partition(" ")[0], CASES[name]
    ours, plain = (getattr(optim, kind)(params, **options) for _ in range(2))
    ours.step()
    plain.step()
    share(ours, plain)
    made = {"talweg": ours.step}

    def uncompiled() -> None:
        optim.use_compiler(False)
        plain.step()
        optim.use_compiler(True)

    made["uncompiled"] = uncompiled
    for how, choice in HOW.items():
        if kind == "Muon" and how == "plain":
            choice = {}  # it has no other way
        try:
            optimizer = getattr(torch.optim, kind)(params, **options, **choice)
            optimizer.step()
            share(ours, optimizer)
        except (TypeError, RuntimeError):
            continue  # torch has no such way for this class
        made[how] = optimizer.step
    made["stream"] = stream(params, ours)
    return made


def stream(params, optimizer: torch.optim.Optimizer) -> Callable[[], object]:
    """Reads and writes the arrays that a step does and leaves them as they are."""

    def touch(param, grad, states, zero):
        param.copy_(param + zero * grad)
        for state in states:
            state.copy_(state + zero)

    if torch.backends.cpu.get_cpu_capability().startswith("AVX"):
        # Wider vectors do not pay where memory is only passed over; some processors lose a tenth.
        inductor_config.cpp.simdlen = 256
    compiled = Compiled(touch, dynamic=True)
    zero = torch.zeros((), device=params[0].device)
    rows = []
    for param in params:
        states = [s.view(-1) for s in optimizer.state[param].values() if s.dim()]
        rows.append((param.detach().view(-1), param.grad.view(-1), states))

    def step() -> None:
        for row in rows:
            compiled(*row, zero)

    return step


def seconds(step: Callable[[], object], device: str) -> float:
    begin = time.perf_counter()
    step()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def compare(name: str, shapes, device: str, rounds: int) -> dict[str, float]:
    """Median milliseconds of one step, every implementation in turn, round by round.

    How fast an array is depends on where it happens to lie, so all work on the same arrays, which
    are made anew several times.
    """
    times: dict[str, list[float]] = {}
    order = random.Random(0)
    for _ in range(MADE):
        params = parameters(shapes, device)
        steps = implementations(name, params)
        for step in steps.values():
            for _ in range(3):
                seconds(step, device)
        for _ in range(rounds):
            for how in order.sample(list(steps), len(steps)):
                times.setdefault(how, []).append(seconds(steps[how], device))
        del params, steps
        gc.collect()
    return {how: 1e3 * statistics.median(found) for how, found in times.items()}


def table(title: str, rows: dict[str, dict[str, float]]) -> str:
    lines = [
        f"### {title}",
        "",
        "| class | talweg ms | uncompiled | torch plain | foreach | fused | best of torch ÷ talweg "
        "| talweg ÷ stream |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, row in rows.items():
        best = min(row[how] for how in HOW if how in row)
        cells = [f"{row[how]:.2f}" if how in row else "–" for how in OURS + tuple(HOW)]
        ratios = f"{best / row['talweg']:.2f} | {row['talweg'] / row['stream']:.2f}"
        lines.append(f"| {name} | {' | '.join(cells)} | {ratios} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="")
    parser.add_argument("--json", default="")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    optim.use_compiler(True)
    found = {}
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, "
          f"{torch.get_num_threads()} threads, {chosen.device}\n")  # fmt: skip
    for title, shapes in SIZES.items():
        rounds = chosen.rounds * (1 if "25 M" in title else 5)
        found[title] = {
            name: compare(name, taken, chosen.device, rounds)
            for name in CASES
            if chosen.only in name and (taken := shapes_of(name, shapes))
        }
        print(table(title, found[title]), "\n", flush=True)
    if chosen.json:
        Path(chosen.json).write_text(json.dumps(found, indent=1))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
