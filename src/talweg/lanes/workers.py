"""Threads that work on chunks of lanes side by side, each on a core of its own."""

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

import torch

from talweg.lanes.copying import cores_for, keep_to

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
        self.may_divide = True
        """Whether copies of this process may take their place."""
        self._pool: ThreadPoolExecutor | None = None
        self._halted = False

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
            cores = iter(cores_for(self.count))
            with ThreadPoolExecutor(self.count, "lanes", _keep_to, (cores,)) as self._pool:
                yield
        finally:
            self._pool = None
            torch.set_num_threads(before)

    def map(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        """What the calls return, in their order.

        If one of them raises, or Ctrl-C is pressed, the others stop at their next `check`, and that
        is raised.
        """
        if self._pool is None or len(calls) == 1:
            return [call() for call in calls]
        self._halted = False
        futures: list[Future[T]] = []
        try:
            futures.extend(self._pool.submit(self._guarded, call) for call in calls)
            wait(futures)
        except BaseException:
            self._halted = True
            for future in futures:
                future.cancel()
            raise
        errors = [error for error in (future.exception() for future in futures) if error]
        if errors:
            raise next((error for error in errors if not isinstance(error, _Halted)), errors[0])
        return [future.result() for future in futures]

    def be_alone(self) -> None:
        """Told in a copy of the process, which has none of its threads."""
        self.count, self._pool = 1, None

    def check(self) -> None:
        """Raises, on the thread of a call, if the others' work is of no use any more."""
        if self._halted:
            raise _Halted

    def _guarded(self, call: Callable[[], T]) -> T:
        try:
            self.check()
            return call()
        except BaseException:
            self._halted = True
            raise


class _Halted(Exception):  # noqa: N818 - not an error: another thread has one to raise
    """A call stopped because another raised."""


def _keep_to(cores: Iterator[int | None]) -> None:
    """Keeps the thread that calls it to the next core.

    It sleeps whenever another holds the interpreter, and would often wake up on another core, with
    its chunk in the cache of the one before.
    """
    keep_to(next(cores))
