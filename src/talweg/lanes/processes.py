"""Processes that go on with a part of the work each: copies of this one, made at that moment.

Threads take turns at the interpreter, and small models spend a good part of their time there.
Copies begin with all that is loaded and compiled, and share its memory until one writes to it.
"""

import ctypes
import gc
import os
import pickle
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

import torch

from talweg.core import first_line

T = TypeVar("T")
OFTEN = 0.1
"""Seconds between what a copy tells of the steps it made."""
DIE_WITH_PARENT = 1
"""Linux's name for the signal that a process gets when the one that made it ends."""


def can_divide() -> bool:
    """Whether this process can be copied: on Linux, as long as it has not used a GPU."""
    return sys.platform == "linux" and not torch.cuda.is_initialized()


class Ticks:
    """Tells of steps now and then.

    Args:
        tell: Told how many there were.
    """

    def __init__(self, tell: Callable[[int], object]) -> None:
        self._tell = tell
        self._count = 0
        self._told = time.monotonic()

    def add(self, steps: int) -> None:
        """Counts some more."""
        self._count += steps
        if time.monotonic() - self._told > OFTEN:
            self.tell()

    def tell(self) -> None:
        """Tells of those that were not told of yet."""
        self._tell(self._count)
        self._count, self._told = 0, time.monotonic()


class CannotDivide(Exception):  # noqa: N818 - no error: the work can be done here
    """The system makes no more copies of this process."""


class Parent:
    """What a copy has of the process that it was made by.

    Args:
        line: To that process.
    """

    def __init__(self, line: Connection) -> None:
        self._line = line

    def tell(self, what: str, value: object) -> None:
        """Has the parent's handler called; it may be so later."""
        self._send("told", (what, value))

    def ask(self, question: object) -> Any:
        """What the parent answers, once every copy that still works has asked."""
        self._send("asked", question)
        return pickle.loads(self._line.recv_bytes())

    def _send(self, kind: str, value: object) -> None:
        # Not `send`: torch has it hand tensors over as files, which this process takes with it.
        self._line.send_bytes(pickle.dumps((kind, value)))

    def run(self, work: "Callable[[Parent], object]") -> None:
        """Does the work, and tells what came of it."""
        try:
            self._send("ended", work(self))
        except Exception as error:
            where = "".join(traceback.format_exception(error))
            try:
                self._send("failed", (error, where))
            except Exception:  # it cannot be sent
                self._send("failed", (RuntimeError(first_line(error)), where))


@dataclass
class _Copy:
    process: int
    line: Connection
    result: Any = None
    question: Any = None
    asks: bool = False
    works: bool = True

    def hear(self, told: Mapping[str, Callable[[Any], object]]) -> None:
        """Takes the next message."""
        try:
            kind, value = pickle.loads(self.line.recv_bytes())
        except (EOFError, OSError):
            ended = self._reap()
            # Linux kills where memory runs out.
            killed = MemoryError("out of memory: a process that trained lanes was killed")
            early = RuntimeError(f"a process that trained lanes ended early ({ended})")
            raise (killed if ended == -signal.SIGKILL else early) from None
        if kind == "told":
            told[value[0]](value[1])
        elif kind == "asked":
            self.question, self.asks = value, True
        elif kind == "ended":
            self.result, self.works = value, False
        else:
            error, where = value
            raise error from RuntimeError(where)

    def answer(self, value: object) -> None:
        self.asks = False
        with suppress(OSError):  # it was killed: the next message says so
            self.line.send_bytes(pickle.dumps(value))

    def end(self) -> None:
        """Ends the process, if it still runs."""
        if self.process and self.works:
            with suppress(ProcessLookupError):
                os.kill(self.process, signal.SIGKILL)
        self._reap()
        self.line.close()

    def _reap(self) -> int:
        """Waits for its end; how it ended, or less than 0 by which signal."""
        process, self.process = self.process, 0
        with suppress(ChildProcessError):  # where nobody is told of ends
            if process:
                return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        return 0


def divided(
    works: Sequence[Callable[[Parent], T]],
    told: Mapping[str, Callable[[Any], object]],
    asked: Callable[[Sequence[Any]], object] | None = None,
    begun: Callable[[], object] | None = None,
    patience: float | None = None,
) -> list[T]:
    """What works return that are done side by side, each in a copy of this process.

    Args:
        works: Given their parent; what they return is pickled, and what they change is lost.
        told: Name → what is called in this process with what copies tell under it.
        asked: Answers the questions of all copies that still work, in their order.
        begun: Called once the copies are made: what this process holds for them it may let go.
        patience: Seconds to wait for any of them, at most; None for ever.

    Raises:
        CannotDivide: If they cannot be made; nothing was done then.
        TimeoutError: If none was heard of for so long.
        Exception: What the first of them raised; the others are ended, as they are if a handler
            raises. `MemoryError` if one was killed.
    """
    cores = sorted(os.sched_getaffinity(0))
    copies: list[_Copy] = []
    try:
        for place, work in enumerate(works):
            _copy(copies, work, cores[place % len(cores)])
        if begun:
            begun()
        while working := [copy for copy in copies if copy.works]:
            if asked and all(copy.asks for copy in working):
                answer = asked([copy.question for copy in working])
                for copy in working:
                    copy.answer(answer)
            ready = wait([copy.line for copy in working if not copy.asks], patience)
            if not ready:
                raise TimeoutError
            for copy in working:
                if copy.line in ready:
                    copy.hear(told)
        return [copy.result for copy in copies]
    finally:
        for copy in copies:
            copy.end()


def _copy(copies: list[_Copy], work: Callable[[Parent], object], core: int) -> None:
    """Makes a copy of this process that does the work; in this one, adds it to the others."""
    here, there = Pipe()
    parent = os.getpid()
    with _deaf(), warnings.catch_warnings():
        # Python and JAX warn of threads that hold locks: ours wait for work, and copies use no JAX.
        warnings.simplefilter("ignore")
        try:
            process = os.fork()
        except OSError as error:
            raise CannotDivide from error
        if process:
            copies.append(_Copy(process, here))
        else:
            try:
                here.close()
                _settle(parent, core)
                Parent(there).run(work)
            finally:
                os._exit(0)  # nothing of the parent's is to be put away here
    there.close()


@contextmanager
def _deaf() -> Generator[None]:
    """Inside, Ctrl-C waits: it would be lost in what Python calls before and after a copy."""
    heard = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, heard)


def _settle(parent: int, core: int) -> None:
    """Makes this copy one that works on its own core and leaves Ctrl-C to its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before that
        os._exit(1)
    with suppress(OSError):  # where that is forbidden, it runs anywhere
        os.sched_setaffinity(0, {core})
    torch.set_num_threads(1)
    gc.freeze()  # looking for garbage would write to all that is shared
    # The threads and processes that compile were not copied.
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    inductor: Any = sys.modules.get("torch._inductor.config")
    if inductor:
        inductor.compile_threads = 1
