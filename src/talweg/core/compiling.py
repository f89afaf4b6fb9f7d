"""Compiling, and what to do where there is no compiler."""

import functools
import logging
import shutil
import sysconfig
import threading
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from talweg.core.memory import is_out_of_memory
from talweg.core.wording import first_line


@functools.cache
def missing_compiler() -> str | None:
    """Why nothing can be compiled for the processor here, or None if it can."""
    from torch._inductor import config as inductor_config  # a second to import: only when needed

    if not any(name and shutil.which(name) for name in inductor_config.cpp.cxx):
        return "no C++ compiler"
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        return "no Python headers"
    return None


class Compiled:
    """A function that is compiled at its first call and falls back to plain execution.

    Args:
        function: A pure tensor function.
        dynamic: Whether sizes may change without compiling again.
        options: Gives further ones for `torch.compile`, once they are needed.

    Attributes:
        failure: What went wrong in compiling, in one line.
        tried: Whether it has been compiled, or failed to.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        dynamic: bool,
        options: Callable[[], Mapping[str, Any]] = dict[str, Any],
    ) -> None:
        self._plain = self._compiled = function
        self._dynamic = dynamic
        self._options = options
        self.failure: str | None = None
        self.tried = False
        self._trying = threading.Lock()

    def __call__(self, *arguments: Any) -> Any:
        """What the function returns."""
        if not self.tried:
            with self._trying:  # one thread compiles, others wait for it
                if not self.tried:
                    self.prepare(*(_copied(argument) for argument in arguments))
        if self.failure:
            return self._plain(*arguments)
        try:
            return self._compiled(*arguments)
        except Exception as error:
            if type(error).__name__ != "FailOnRecompileLimitHit":  # before anything is computed
                raise
            self.failure = "it must be compiled anew at every step"
            return self._plain(*arguments)

    def prepare(self, *arguments: Any) -> None:
        """Compiles the function on a trial call.

        Args:
            arguments: Of the kinds to come; a function that works in place changes them.

        Raises:
            Exception: If there was no memory for the trial, which says nothing of the function.
        """
        self._compiled = self._to_be_compiled()
        try:
            with _quiet():
                self._compiled(*arguments)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            self.failure = first_line(error, 160)
        self.tried = True

    def _to_be_compiled(self) -> Callable[..., Any]:
        # Dynamo counts recompilations per code object, and closures from one `def` share theirs.
        function = self._plain
        own = types.FunctionType(
            function.__code__.replace(),
            function.__globals__,
            function.__name__,
            function.__defaults__,
            function.__closure__,
        )
        options = dict(self._options())
        if self._dynamic:
            # A kernel for any size would run on one thread for good if the first size was small,
            # and its file is reused by later processes, so the threads are chosen at each call.
            options["cpp.dynamic_threads"] = True
            # Otherwise every turn of the loop asks whether it is the last.
            options["cpp.enable_loop_tail_vec"] = False
        return torch.compile(own, dynamic=self._dynamic, fullgraph=True, options=options)


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
