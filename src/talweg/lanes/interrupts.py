"""Ctrl-C, once: heard for certain, and what is put away after it is not disturbed."""

import signal
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

PATIENCE = 5.0
"""Seconds after the first press in which further ones are ignored."""


class Interrupt:
    """Whether Ctrl-C was pressed."""

    def __init__(self) -> None:
        self._was_pressed = False

    def press(self) -> None:
        """Raises `KeyboardInterrupt`, wherever the main thread is."""
        self._was_pressed = True
        raise KeyboardInterrupt

    def check(self, *_: object) -> None:
        """Raises it again if work still goes on: on its way up it was lost.

        Code that calls Python from C++, such as the guards of compiled functions, drops exceptions.
        """
        if self._was_pressed:
            raise KeyboardInterrupt


@contextmanager
def one_interrupt() -> Generator[Interrupt]:
    """Inside, presses of Ctrl-C that follow the first within `PATIENCE` seconds do nothing.

    Only the main thread gets signals; in any other this does nothing, and neither does it where
    Ctrl-C is handled by someone else already.
    """
    interrupt = Interrupt()
    usual = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or (
        usual is not signal.default_int_handler
    ):
        yield interrupt
        return
    last_heard = -PATIENCE

    def hear(_number: int, _frame: FrameType | None) -> None:
        nonlocal last_heard
        now = time.monotonic()
        if now - last_heard > PATIENCE:
            last_heard = now
            interrupt.press()

    signal.signal(signal.SIGINT, hear)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, usual)
