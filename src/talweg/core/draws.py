"""What other people's functions draw at random: from global generators, which stay as they were."""

import random
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

CPU = torch.device("cpu")


@contextmanager
def redrawn(device: torch.device = CPU) -> Generator[Callable[..., None]]:
    """Inside, whoever draws from global generators, torch's, NumPy's or Python's, moves none.

    They are those of the whole process: nothing else may draw meanwhile, on another thread.

    Args:
        device: Where is drawn, besides the processor.

    Yields:
        What begins them anew, from whole numbers: the same ones, the same draws.
    """
    gpus = [device] if device.type == "cuda" else []

    def begin(*key: int) -> None:
        first, *more = key
        state = np.random.SeedSequence(first, spawn_key=more).generate_state(2)
        number = int(state[0]) << 31 | int(state[1]) >> 1
        torch.default_generator.manual_seed(number)
        for gpu in gpus:
            with torch.cuda.device(gpu):
                torch.cuda.manual_seed(number)
        random.seed(number)
        np.random.seed(int(state[0]))  # noqa: NPY002 - this one is what many functions draw from

    pythons, numpys = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=gpus):
            yield begin
    finally:
        random.setstate(pythons)
        np.random.set_state(numpys)  # noqa: NPY002


def to_be_drawn() -> tuple[Any, ...]:
    """What says whether two draws would be the same."""
    numpys: Any = np.random.get_state()  # noqa: NPY002
    torchs = torch.get_rng_state().numpy().tobytes()
    return torchs, random.getstate(), numpys[1].tobytes(), numpys[2:]
