"""Threads that work on chunks of lanes side by side, each on a core of its own."""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

T = TypeVar("T")


class Workers:
    """Runs calls on several threads.

    Lanes are independent, so a core that keeps to its own chunk never waits for another, and finds
    it in its own cache: threads inside each operator meet after every one of them.

    Args:
        count: Threads; 1 runs everything in the caller's, with torch's own inside operators.
    """

    def __init__(self, count: int) -> None:
        self.count = count

    def map(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        """What the calls return, in their order; an exception of one is raised."""
        if self.count == 1 or len(calls) == 1:
            return [call() for call in calls]
        with _one_thread_an_operator(), ThreadPoolExecutor(self.count, "lanes") as pool:
            return list(pool.map(lambda call: call(), calls))


@contextmanager
def _one_thread_an_operator() -> Generator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
