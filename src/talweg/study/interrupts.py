"""Ctrl-C, once: what is being put away after it is not to be interrupted by a second press."""

import signal
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

PATIENCE = 5.0
"""Seconds after the first press in which further ones are ignored."""


@contextmanager
def one_interrupt() -> Generator[None]:
    """Inside, presses of Ctrl-C that follow the first within `PATIENCE` seconds do nothing.

    Only the main thread gets signals; in any other this does nothing, and neither does it where
    Ctrl-C is handled by someone else already.
    """
    usual = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or (
        usual is not signal.default_int_handler
    ):
        yield
        return
    last_heard = -PATIENCE

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal last_heard
        now = time.monotonic()
        if now - last_heard > PATIENCE:
            last_heard = now
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
