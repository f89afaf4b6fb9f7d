"""What is shown while lanes train for a few seconds, and Ctrl-C."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress

from talweg.lanes.interrupts import one_interrupt


@contextmanager
def watched(words: str, total: int, shown: bool) -> Generator[Callable[[int], None]]:
    """Shows a bar on the error stream, and hears Ctrl-C for certain.

    Args:
        words: What goes on.
        total: Steps in all.
        shown: Whether to show the bar.

    Yields:
        To be called with a number of steps after that many.
    """
    bar = Progress(console=Console(file=sys.stderr, quiet=not shown), transient=True)
    with one_interrupt() as interrupt, bar:
        task = bar.add_task(words, total=total)

        def tick(steps: int) -> None:
            bar.advance(task, steps)
            interrupt.check()

        yield tick
