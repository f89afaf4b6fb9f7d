"""How many lanes go together, and whether any do: for what is unclear, measured and remembered."""

import hashlib
import json
import os
import re
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from talweg.core import UserError, write_file
from talweg.data.inputs import X, for_lanes
from talweg.lanes.copying import can_divide
from talweg.lanes.gradients import Buffers, Gradients, OneModule, Stacked
from talweg.lanes.processes import Parent, divided
from talweg.lanes.workers import Workers

TRIALS, AT_MOST, LONG_ENOUGH = 3, 100, 0.05
"""Timed steps of each way, after one that is not: at least, at most, and in between as many as take
so many seconds. The median counts."""
CLEARLY = 0.8
"""The share of a stacked lane's time that one alone must keep below: its updates and batches, which
are not timed, cost more."""
SERIAL, COMPILED = "one after another", "one at a time, compiled"
APART = 0.9
"""The same for a lane that a copy of this process trains beside others."""
PATIENCE = 10.0
"""Seconds to wait for a step of a copy in a trial: a model with threads of its own stands still."""
FEWEST = 8
"""Lanes in a chunk, if there are as many: each step of a chunk costs as much again to ask for."""
CHUNK_BYTES = 2_000_000
"""Parameters of the lanes that go through the model together: what stays in a core's cache."""


class Timing:
    """Times steps without updates on real batches.

    Args:
        start: Parameters ``[parameter]`` and everything else that a lane begins with.
        x: A batch ``[batch, …]``.
        y: Its targets.
    """

    def __init__(self, start: tuple[Tensor, Buffers], x: X, y: Tensor) -> None:
        self._start = start
        self._x, self._y = x, y

    def per_lane(self, gradients: Gradients, lanes: int, workers: Workers) -> float:
        """Seconds of a lane's gradient, among ``lanes`` of every worker."""
        with torch.random.fork_rng(devices=[]), gradients.ready(), workers.at_work():
            calls = [self._step(gradients, lanes) for _ in range(workers.count)]
            return _median(lambda: workers.map(calls)) / (lanes * workers.count)

    def apart(self, alone: OneModule, count: int) -> float:
        """Seconds of a lane's gradient, where ``count`` copies of this process train one each."""

        def timed(parent: Parent) -> float:
            step = self._step(alone, 1)
            step()
            parent.ask(None)  # all begin together
            return _median(step)

        return max(divided([timed] * count, {}, lambda _: None, patience=PATIENCE)) / count

    def _step(self, gradients: Gradients, lanes: int) -> Callable[[], Tensor]:
        params, rest = self._start
        at = params.expand(lanes, -1).clone()
        own = {name: value.expand(lanes, *value.shape).clone() for name, value in rest.items()}
        x, y = for_lanes(lanes, self._x, self._y)
        step = gradients.stepper(at, own, torch.zeros_like(at))
        return lambda: step(x, y)


def _median(call: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    call()
    times: list[float] = []
    while len(times) < TRIALS or (len(times) < AT_MOST and sum(times) < LONG_ENOUGH):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def remembered(told: Sequence[object], choose: Callable[[], str]) -> str:
    """What was chosen before for the same, else what is chosen now.

    Choices are kept beside compiled programs, so that the same call gives the same numbers again:
    two ways of running lanes round differently.

    Args:
        told: Everything that the choice depends on.
        choose: Chooses.
    """
    from torch._inductor.runtime.cache_dir_utils import cache_dir

    # Another way of choosing chooses anew, and so do other operators.
    here = Path(__file__)
    native = sorted(path for path in (here.parent / "native").iterdir() if path.is_file())
    sources = [path.read_text() for path in (here, *native)]
    words = "\0".join(map(str, (*sources, torch.__version__, os.cpu_count(), *told)))
    words = re.sub(r"\b0x[0-9a-f]+\b", "", words)  # addresses, which some modules show
    name = hashlib.sha256(words.encode()).hexdigest()[:24]
    path = Path(cache_dir()) / "talweg" / f"{name}.json"
    try:
        return str(json.loads(path.read_text())["choice"])
    except (OSError, ValueError, KeyError, TypeError):
        choice = choose()
    with suppress(OSError, UserError):  # a choice that is not kept is made again
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, json.dumps({"choice": choice}).encode())
    return choice


def why_not_stacked(
    timing: Timing, stacked: Stacked, alone: OneModule, width: int, workers: Workers
) -> str:
    """In which way lanes had better run, and why, ``"way: why"``; empty for ``width`` together.

    The ways are `SERIAL`, through PyTorch's own loop, and `COMPILED`, each through the compiled
    program. Compiling takes long, so it waits wherever stacked lanes win without it: compiled they
    are faster still. Where they lose they are compiled to see.
    """
    single = timing.per_lane(alone, 1, Workers(1))
    if timing.per_lane(stacked, width, Workers(1)) < single:
        return ""
    stacked.compile_now()
    together = timing.per_lane(stacked, width, workers)
    if single > CLEARLY * together:
        return ""
    compiled = timing.per_lane(stacked, 1, workers)
    if compiled < CLEARLY * single:
        return f"{COMPILED}: {_shown(compiled)} a lane and step, together {_shown(together)}"
    return f"{SERIAL}: {_shown(single)} a lane and step, stacked {_shown(together)}"


def why_apart(timing: Timing, alone: OneModule, count: int) -> str:
    """Why ``count`` lanes had better be trained side by side, each by a copy of this process.

    Empty if they had not, but one after another, with all cores.
    """
    if not can_divide():
        return ""
    single = timing.per_lane(alone, 1, Workers(1))
    try:
        each = timing.apart(alone, count)
    except Exception:  # a model that does not work in a copy has no use for any
        return ""
    return f"{_shown(each)} a lane and step, not {_shown(single)}" if each < APART * single else ""


def _shown(seconds: float) -> str:
    return f"{seconds * 1e3:.2g} ms" if seconds < 1 else f"{seconds:.2g} s"


def choose_width(
    lane_counts: Sequence[int], parameters: int, device: torch.device, workers: int = 1
) -> int:
    """How many lanes go through the model together.

    On a processor, as many as keep their parameters in its cache, then the nearby number that
    has the workers done soonest; on a GPU, all of them up to 256.

    >>> choose_width([126, 35], parameters=26_122, device=torch.device("cpu"), workers=2)
    21
    """
    most = max(-(-max(lane_counts) // workers), min(max(lane_counts), FEWEST))
    aim = CHUNK_BYTES // (4 * parameters) if device.type == "cpu" else 256
    aim = max(min(aim, 256), FEWEST)
    if most <= aim:
        return most

    def time(width: int) -> tuple[int, int]:
        rounds = (-(-count // (width * workers)) for count in lane_counts)
        return sum(width * each for each in rounds), abs(width - aim)

    return min(range(max(aim * 3 // 4, 1), aim * 5 // 4 + 1), key=time)
