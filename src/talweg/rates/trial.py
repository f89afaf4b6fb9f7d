"""Lanes of every rate with every seed, and what they tell when they are stopped early."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from talweg.lanes import Engine, Plan, Reading
from talweg.rules import NamedRule

TAIL = 0.1
"""Share of the steps whose losses are averaged."""
LEAST_STEPS, LEAST_SEEDS = 10, 2
"""What a search needs to tell anything."""


class Trial:
    """Trains a rule at many rates, every one with every seed.

    Args:
        engine: What trains.
        rule: The rule.
        seeds: One lane each, at every rate.
        steps: Updates of each lane.
        tick: Called with a number of steps after that many; it may raise to end the training.
    """

    def __init__(
        self,
        engine: Engine,
        rule: NamedRule,
        seeds: Sequence[int],
        steps: int,
        tick: Callable[[int], None],
    ) -> None:
        self._engine = engine
        self._rule = rule
        self._seeds = seeds
        self._steps = steps
        self._tick = tick
        self._reached = np.zeros((0, 0), dtype=int)
        self._means = np.zeros((0, 0))

    def losses(self, rates: Sequence[float]) -> np.ndarray:
        """The mean of each lane's last losses, ``[rate, seed]``; infinite if it diverged."""
        # Seed by seed: where lanes run one after another, a part of them still has every rate.
        shape = (len(self._seeds), len(rates))
        self._reached = np.zeros(shape, dtype=int)
        self._means = np.full(shape, np.inf)
        plan = Plan(
            rules=[self._rule.with_lr(lr) for lr in rates] * len(self._seeds),
            seeds=[seed for seed in self._seeds for _ in rates],
            steps=self._steps,
            schedules=(),
            evaluate={},
            keep=False,
        )
        losses = self._engine.train(plan, self._read, self._tick).losses
        return _tails(losses).reshape(shape).T

    def so_far(self) -> tuple[np.ndarray, int] | None:
        """What a training that was ended in the middle tells.

        Returns:
            The mean of each lane's last epoch ``[rate, seed]`` after the same number of steps,
            and that number; seeds that are not as far are left out. None if that is too little.
        """
        reached = self._reached.min(1)
        steps = int(np.sort(reached)[-LEAST_SEEDS])
        if steps < LEAST_STEPS:
            return None
        return self._means[reached >= steps].T, steps

    def _read(self, reading: Reading) -> None:
        lanes = list(reading.lanes)
        if ("train", "diverged") in reading.values:
            self._reached.flat[lanes] = self._steps
            self._means.flat[lanes] = np.inf
        elif ("train", "loss") in reading.values:
            self._reached.flat[lanes] = reading.step
            self._means.flat[lanes] = reading.values["train", "loss"]


def _tails(losses: torch.Tensor) -> np.ndarray:
    """``[lane, step]`` → the mean of each lane's last losses; infinite if one is not finite."""
    last = max(round(TAIL * losses.shape[1]), 1)
    return losses[:, -last:].double().mean(1).nan_to_num(nan=np.inf, posinf=np.inf).numpy()
