"""Threads that work on chunks of lanes side by side, each on a core of its own."""

import itertools
import os
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

T = TypeVar("T")


class Workers:
    """Runs calls on several threads.

    Lanes are independent: a core that keeps to its own chunk never waits for another and finds the
    chunk in its own cache, where threads inside the operators meet after every one of them.

    Args:
        count: Threads; with 1 everything runs in the caller's, and operators have torch's threads.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool: ThreadPoolExecutor | None = None

    @contextmanager
    def at_work(self) -> Generator[None]:
        """Inside, several workers have a thread each, and operators no further ones.

        Compiled functions are compiled for a number of threads: inside, it is always the same.
        """
        if self.count == 1:
            yield
            return
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            cores = itertools.cycle(_cores())
            with ThreadPoolExecutor(self.count, "lanes", _keep_to, (cores,)) as self._pool:
                yield
        finally:
            self._pool = None
            torch.set_num_threads(before)

    def map(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        """What the calls return, in their order; an exception of one is raised."""
        if self._pool is None or len(calls) == 1:
            return [call() for call in calls]
        return list(self._pool.map(lambda call: call(), calls))


def _cores() -> Sequence[int | None]:
    """The cores this process may use; None where that cannot be asked."""
    if not hasattr(os, "sched_getaffinity"):
        return [None]
    return sorted(os.sched_getaffinity(0))


def _keep_to(cores: Iterator[int | None]) -> None:
    """Keeps the thread that calls it to the next core.

    It sleeps whenever another holds the interpreter, and would often wake up on another core, with
    its chunk in the cache of the one before.
    """
    core = next(cores)
    if core is not None:
        os.sched_setaffinity(threading.get_native_id(), {core})
