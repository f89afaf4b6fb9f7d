"""The random numbers that are drawn while lanes train."""

import random
from collections.abc import Callable, Generator
from contextlib import contextmanager

import numpy as np
import torch


class Noise:
    """What dropout and the like draw from: neither moved by what is drawn elsewhere nor moving it.

    Args:
        seed: Of the lane; its model starts from other numbers.
        device: Where the lane is trained.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._gpus = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=self._gpus):
            torch.manual_seed((seed * 2_654_435_761 + 97) % 2**63)
            self._keep()

    @contextmanager
    def drawn(self) -> Generator[None]:
        """Inside, torch draws from here."""
        with torch.random.fork_rng(devices=self._gpus):
            torch.set_rng_state(self._state)
            for gpu, state in zip(self._gpus, self._gpu_states, strict=True):
                torch.cuda.set_rng_state(state, gpu)
            yield
            self._keep()

    def _keep(self) -> None:
        self._state = torch.get_rng_state()
        self._gpu_states = [torch.cuda.get_rng_state(gpu) for gpu in self._gpus]


@contextmanager
def redrawn(device: torch.device) -> Generator[Callable[..., None]]:
    """Inside, whoever draws from global generators, torch's, NumPy's or Python's, moves none.

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
