"""When to compile, and what to do where there is no compiler."""

import ctypes
import functools
import logging
import platform
import shutil
import sysconfig
import types
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, TypeVar

import torch

from talweg.core import first_line

Function = TypeVar("Function", bound=Callable[..., Any])

MALLOC_TRIM_THRESHOLD, MALLOC_MMAP_THRESHOLD = -1, -3


@functools.cache
def missing_compiler() -> str | None:
    """Why nothing can be compiled for the processor here, or None if it can."""
    from torch._inductor import config as inductor_config  # a second to import: only when needed

    if not any(name and shutil.which(name) for name in inductor_config.cpp.cxx):
        return "no C++ compiler"
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        return "no Python headers"
    return None


def worth_compiling(lane_steps: int, parameters: int, batch: int) -> bool:
    """Whether compiling pays for itself, from the amount of work alone.

    It must not depend on a measurement: the same call has to give the same numbers, and compiled
    and plain kernels round differently. A lane's plain step takes about 60 µs plus six operations
    per parameter and sample at 50 per nanosecond; compiling takes a few seconds from a warm cache
    and about 20 from an empty one, and saves more than half of each step.
    """
    plain_seconds = lane_steps * (60e-6 + 6 * parameters * batch / 50e9)
    return plain_seconds > 8


_shared: dict[Hashable, "Compiled"] = {}


class Compiler:
    """Compiles an engine's functions, if that is wanted.

    Compiling takes seconds. Until `start` is called every function runs as it is written, so that
    there is something to look at, and to keep on Ctrl-C, before.

    Args:
        wanted: Whether to compile.
        say: Told, in one line each, when compiling begins and what fails to compile.
    """

    def __init__(self, wanted: bool, say: Callable[[str], None]) -> None:
        self._wanted = wanted
        self._say = say
        self._started = False
        self._complained = False

    def start(self) -> None:
        """From now on functions are compiled at their next call."""
        if self._wanted and not self._started:
            self._say("compiling: a few seconds, half a minute the first time on a machine")
        self._started = True

    def __call__(
        self, plain: Callable[..., Any], dynamic: bool, key: Hashable = None
    ) -> Callable[..., Any]:
        """The function to call in place of ``plain``.

        Args:
            plain: A pure tensor function.
            dynamic: Whether sizes may change without compiling again.
            key: What functions that do the same have in common; they are compiled once a process.
        """
        if not self._wanted:
            return plain
        compiled = _shared.get(key) if key else None
        if compiled is None:
            compiled = Compiled(plain, dynamic)
        if key:
            _shared[key] = compiled

        def either(*arguments: Any) -> Any:
            if not self._started:
                return plain(*arguments)
            found = compiled(*arguments)
            if compiled.failure and not self._complained:
                self._complained = True
                self._say(f"running uncompiled: the compiler failed ({compiled.failure})")
            return found

        return either


class Compiled:
    """A function that is compiled at its first call and falls back to plain execution.

    Args:
        function: A pure tensor function.
        dynamic: Whether sizes may change without compiling again.

    Attributes:
        failure: What went wrong in compiling, in one line.
    """

    def __init__(self, function: Callable[..., Any], dynamic: bool) -> None:
        # Dynamo counts recompilations per code object, and closures from one `def` share theirs.
        own = types.FunctionType(
            function.__code__.replace(),
            function.__globals__,
            function.__name__,
            function.__defaults__,
            function.__closure__,
        )
        self._plain = function
        # A kernel for any size would run on one thread for good if the first size was small, and
        # its file is reused by later processes, so the threads are chosen at each call.
        options: dict[str, Any] = {"cpp.dynamic_threads": True} if dynamic else {}
        self._compiled = torch.compile(own, dynamic=dynamic, fullgraph=True, options=options)
        self.failure: str | None = None
        self._tried = False

    def __call__(self, *arguments: Any) -> Any:
        """What the function returns."""
        if not self._tried:
            self._try(*arguments)
        return (self._plain if self.failure else self._compiled)(*arguments)

    def _try(self, *arguments: Any) -> None:
        self._tried = True
        copies = [_copied(argument) for argument in arguments]
        try:
            with _quiet():
                self._compiled(*copies)
        except Exception as error:
            self.failure = first_line(error, 160)


def _copied(argument: Any) -> Any:
    if isinstance(argument, torch.Tensor):
        copy = torch.empty_strided(
            argument.shape, argument.stride(), dtype=argument.dtype, device=argument.device
        )
        return copy.copy_(argument)
    if isinstance(argument, (list, tuple)):
        return type(argument)(_copied(item) for item in argument)
    if isinstance(argument, dict):
        return {key: _copied(item) for key, item in argument.items()}
    return argument


class _quiet:  # noqa: N801 - used as a statement
    """Keeps inductor's and dynamo's own logging off the user's screen."""

    def __enter__(self) -> None:
        self._level = logging.getLogger("torch").level
        logging.getLogger("torch").setLevel(logging.CRITICAL)

    def __exit__(self, *_: object) -> None:
        logging.getLogger("torch").setLevel(self._level)


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
