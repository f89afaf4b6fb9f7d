"""When an engine compiles its functions."""

import ctypes
import functools
import platform
from collections.abc import Callable, Hashable
from typing import Any

from talweg.core import Compiled

MALLOC_TRIM_THRESHOLD, MALLOC_MMAP_THRESHOLD = -1, -3


def worth_compiling(parameters: int, batch: int) -> int:
    """The steps, of all lanes together, that must be to come for compiling to pay for itself.

    It must not depend on a measurement: the same call has to give the same numbers, and compiled
    and plain kernels round differently. A lane's plain step takes about 60 µs plus six operations
    per parameter and sample at 50 per nanosecond; compiling takes a few seconds from a warm cache
    and about 20 from an empty one, and saves more than half of each step.
    """
    return int(8 / (60e-6 + 6 * parameters * batch / 50e9))


_shared: dict[Hashable, Compiled] = {}


class Compiler:
    """Compiles an engine's functions, if that is wanted.

    Compiling takes seconds. Until steps have been made every function runs as it is written, so
    that there is something to look at, and to keep on Ctrl-C, before.

    Args:
        wanted: Whether to compile.
        say: Told, in one line each, when compiling begins and what fails to compile.
        wait: Steps to wait for, of all lanes together.
        workers: Threads that will call the functions; with several, each runs on one core.
    """

    def __init__(
        self, wanted: bool, say: Callable[[str], None], wait: int = 0, workers: int = 1
    ) -> None:
        self._wanted = wanted
        self._say = say
        self._wait = wait
        self._workers = workers
        self._started = self._told = False
        self._complained = self._missed = False

    def made(self, lane_steps: int) -> None:
        """Told of steps; once there are enough, functions are compiled at their next call."""
        self._wait -= lane_steps
        if self._wait < 0:
            self.start()

    def start(self) -> None:
        """Functions are compiled at their next call, if that is wanted."""
        if self._wanted and not self._started:
            self._started = True
            if not self._told:
                self._say("compiling: a few seconds, half a minute the first time on a machine")
            self._told = True

    def be_quiet(self) -> None:
        """Told in a copy of the process, where nobody listens."""
        self._say = lambda _: None

    def rewind(self, started: bool) -> None:
        """Told that other lanes begin, which get the same numbers if they begin the same way.

        Args:
            started: Whether functions had been compiled when the first of them began.
        """
        self._started = started

    def __call__(self, plain: Callable[..., Any], dynamic: bool, key: Hashable = None) -> "Either":
        """The function to call in place of ``plain``.

        Args:
            plain: A pure tensor function.
            dynamic: Whether sizes may change without compiling again.
            key: What functions that do the same have in common; they are compiled once a process.
        """
        if not self._wanted:
            return Either(plain, None, self)
        key = key and (key, self._workers)
        compiled = _shared.get(key) if key else None
        if compiled is None:
            compiled = (
                Compiled(plain, dynamic) if dynamic else Compiled(plain, False, self._options)
            )
        if key:
            _shared[key] = compiled
        return Either(plain, compiled, self)

    @property
    def has_started(self) -> bool:
        """Whether functions are compiled at their next call, if they are not yet."""
        return self._started

    def complain(self, failure: str) -> None:
        """Tells once that the compiler failed."""
        if not self._complained:
            self._complained = True
            self._say(f"running uncompiled: the compiler failed ({failure})")

    def _options(self) -> dict[str, Any]:
        """For programs of fixed sizes: our own operators, and no threads inside for workers."""
        from talweg.lanes.native import Replace, load

        missing = load()
        if missing and not self._missed:
            self._missed = True
            self._say(f"without operators of our own: they cannot be built here ({missing})")
        own: dict[str, Any] = {} if missing else {"post_grad_custom_pre_pass": Replace()}
        own["layout_optimization"] = False
        return own if self._workers == 1 else {"cpp.threads": 1, **own}


class Either:
    """A function as it is written until it pays to compile it, then compiled.

    Args:
        plain: The function.
        compiled: The same, to be compiled at its first call; None for never.
        compiler: Says when.
    """

    def __init__(
        self, plain: Callable[..., Any], compiled: Compiled | None, compiler: Compiler
    ) -> None:
        self._plain = plain
        self._compiled = compiled
        self._compiler = compiler

    @property
    def may_compile(self) -> bool:
        """Whether it is ever compiled."""
        return self._compiled is not None

    @property
    def has_started(self) -> bool:
        """Whether the next call runs compiled code, or tries to make it."""
        compiled = self._compiled
        return compiled is not None and self._compiler.has_started and compiled.failure is None

    def __call__(self, *arguments: Any) -> Any:
        """What the function returns."""
        if self._compiled is None or not self._compiler.has_started:
            return self._plain(*arguments)
        found = self._compiled(*arguments)
        if self._compiled.failure:
            self._compiler.complain(self._compiled.failure)
        return found


@functools.cache
def keep_freed_memory() -> None:
    """Has glibc keep freed blocks for the next step instead of returning them to the system.

    A step allocates and frees the same megabytes each time; returning them costs a page fault per
    4 KiB, a third of the time of a step. Elsewhere than on glibc this does nothing.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(MALLOC_MMAP_THRESHOLD, 32 * 2**20)
    libc.mallopt(MALLOC_TRIM_THRESHOLD, 512 * 2**20)
