"""The random numbers that are drawn while lanes train."""

from collections.abc import Generator
from contextlib import contextmanager

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
