"""Copies of this process: how one is made, and made fit to work by itself."""

import ctypes
import gc
import os
import random
import signal
import sys
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any

import torch

DIE_WITH_PARENT = 1
"""Linux's name for the signal that a process gets when the one that made it ends."""


def can_divide() -> bool:
    """Whether this process can be copied: on Linux, as long as it has not used a GPU."""
    return sys.platform == "linux" and not torch.cuda.is_initialized()


def cores_for(count: int) -> list[int | None]:
    """A core for each of so many threads or processes; None where they had better be left free.

    That is where they are fewer than the cores: others would keep to the same ones.
    """
    if not hasattr(os, "sched_getaffinity"):
        return [None] * count
    cores = sorted(os.sched_getaffinity(0))
    return [cores[i % len(cores)] if count >= len(cores) else None for i in range(count)]


def keep_to(core: int | None) -> None:
    """Keeps the thread that calls it to a core, if there is one for it."""
    if core is not None:
        with suppress(OSError):  # where that is forbidden, it runs anywhere
            os.sched_setaffinity(0, {core})


def give_freed_memory_back() -> None:
    """Has glibc return to the system what was freed: copies would keep it without use."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def copy(work: Callable[[], object], core: int | None, made: Callable[[int], object]) -> None:
    """Makes a copy of this process that does the work and ends.

    Args:
        work: What it does.
        core: The core that it keeps to; None for any.
        made: Told its number, before Ctrl-C can come between.

    Raises:
        OSError: If the system makes no more of them.
    """
    here, state = os.getpid(), random.getstate()
    with suppress(Exception):  # otherwise each copy would print what waits to be printed
        sys.stdout.flush()
        sys.stderr.flush()
    with _deaf():
        with warnings.catch_warnings():
            # Python and JAX warn of threads that hold locks: ours wait, and copies use no JAX.
            warnings.simplefilter("ignore")
            process = os.fork()
        if process == 0:
            try:
                _settle(here, core)
                random.setstate(state)  # Python begins it anew in each copy
                work()
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(0)  # nothing of the parent's is to be put away here
        made(process)


@contextmanager
def _deaf() -> Generator[None]:
    """Inside, Ctrl-C waits: it would be lost in what Python calls before and after a copy."""
    heard = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, heard)


def _settle(parent: int, core: int | None) -> None:
    """Makes this copy one that works on its own core and leaves all signals to its parent."""
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):  # what the user does then is to be done once
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.set_wakeup_fd(-1)
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before that
        os._exit(1)
    # What takes their place to show progress waits for threads that were not copied.
    sys.stdout, sys.stderr = sys.__stdout__ or sys.stdout, sys.__stderr__ or sys.stderr
    keep_to(core)
    torch.set_num_threads(1)
    gc.freeze()  # looking for garbage would write to all that is shared
    # The threads and processes that compile were not copied.
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    inductor: Any = sys.modules.get("torch._inductor.config")
    if inductor:
        inductor.compile_threads = 1
