"""Processes that go on with a part of the work each: copies of this one, made at that moment.

Threads take turns at the interpreter, and small models spend a good part of their time there.
Copies begin with all that is loaded and compiled, and share its memory until one writes to it.
"""

import os
import pickle
import signal
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, TypeVar

from talweg.core import first_line
from talweg.lanes.copying import copy, cores_for, give_freed_memory_back

T = TypeVar("T")
OFTEN = 0.1
"""Seconds between what a copy tells of the steps it made."""
STILL = 30.0
"""Seconds without a word and without a moment on a core, after which a copy is given up."""


class CannotDivide(Exception):  # noqa: N818 - no error: the work can be done here
    """The system makes no more copies of this process."""


class StandsStill(Exception):  # noqa: N818 - no error: the work can be done here
    """A copy waits for ever, as for threads that this process has and copies have not."""


class Ticks:
    """Tells of steps now and then.

    Args:
        tell: Told how many there were.

    Attributes:
        all: How many there were so far.
    """

    def __init__(self, tell: Callable[[int], object]) -> None:
        self._tell = tell
        self._count = self.all = 0
        self._told = time.monotonic()

    def add(self, steps: int) -> None:
        """Counts some more."""
        self._count += steps
        self.all += steps
        if time.monotonic() - self._told > OFTEN:
            self.tell()

    def tell(self) -> None:
        """Tells of those that were not told of yet."""
        self._tell(self._count)
        self._count, self._told = 0, time.monotonic()


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
        except BaseException as error:
            where = "".join(traceback.format_exception(error))
            self._send("failed", (_sendable(error), where))


def _sendable(error: BaseException) -> BaseException:
    """An exception, or in place of one that does not arrive, one that says the same."""
    with suppress(Exception):
        if type(pickle.loads(pickle.dumps(error))) is type(error):
            return error
    return RuntimeError(f"{type(error).__name__}: {first_line(error)}")


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

    def processor_time(self) -> tuple[str, ...]:
        """What it has had of the cores, in the system's ticks."""
        with suppress(OSError):
            stat = Path(f"/proc/{self.process}/stat").read_text()
            return tuple(stat.rsplit(")", 1)[1].split()[11:13])
        return ()

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
        patience: Seconds to wait for any of them, at most; None for as long as they do something.

    Raises:
        CannotDivide: If they cannot be made; nothing was done then.
        StandsStill: If one does nothing for `STILL` seconds, or says nothing for ``patience``.
        BaseException: What the first of them raised; the others are ended, as they are if a handler
            raises. `MemoryError` if one was killed.
    """
    copies: list[_Copy] = []
    give_freed_memory_back()
    try:
        for work, core in zip(works, cores_for(len(works)), strict=True):
            _copy(copies, work, core)
        if begun:
            begun()
            give_freed_memory_back()
        while working := [copy for copy in copies if copy.works]:
            if asked and all(copy.asks for copy in working):
                answer = asked([copy.question for copy in working])
                for copy in working:
                    copy.answer(answer)
            waiting = [copy for copy in working if not copy.asks]
            ready = _heard(waiting, patience)
            for copy in waiting:
                if copy.line in ready:
                    copy.hear(told)
        return [copy.result for copy in copies]
    finally:
        for copy in copies:
            copy.end()


def _heard(copies: Sequence[_Copy], patience: float | None) -> Sequence[object]:
    """The lines of copies that have something to say, once there are any."""
    lines = [copy.line for copy in copies]
    began = time.monotonic()
    used: list[tuple[str, ...]] = []
    # In turns of a second: Ctrl-C does not end a wait if another thread got the signal.
    while not (ready := wait(lines, min(1.0, STILL))):
        now = [copy.processor_time() for copy in copies]
        if patience is None and now != used:
            began, used = time.monotonic(), now
        if time.monotonic() - began > (STILL if patience is None else patience):
            raise StandsStill
    return ready


def _copy(copies: list[_Copy], work: Callable[[Parent], object], core: int | None) -> None:
    """Makes a copy of this process that does the work, and adds it to the others."""
    try:
        here, there = Pipe()
    except OSError as error:  # too many files
        raise CannotDivide from error
    try:
        copy(
            partial(Parent(there).run, work),
            core,
            lambda process: copies.append(_Copy(process, here)),
        )
    except OSError as error:  # too many processes
        here.close()
        raise CannotDivide from error
    finally:
        there.close()
