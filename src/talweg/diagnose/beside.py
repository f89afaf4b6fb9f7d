"""What runs beside a training run: when, and that it never ends it."""

import time
from collections.abc import Callable
from functools import wraps
from types import FrameType
from typing import Concatenate, ParamSpec, Protocol, TypeVar

import torch

EVERY = 25
"""Steps from one measured step to the next, unless asked for; see `cadence`."""
Given = ParamSpec("Given")
Result = TypeVar("Result")


class Beside(Protocol):
    """Who looks at a run.

    Attributes:
        is_on: Whether it looks.
        own: Seconds that it took.
    """

    is_on: bool
    own: float

    def give_up(self, error: Exception) -> None:
        """Looks no more."""
        ...


Who = TypeVar("Who", bound=Beside)


def cadence(step: int) -> int:
    """Steps from one measured step to the next by default: 25, and more the longer a run is.

    >>> cadence(0), cadence(9_999), cadence(10_000), cadence(1_000_000)
    (25, 25, 250, 25000)
    """
    return EVERY * 10 ** max(len(str(step)) - 4, 0)


def beside(
    function: Callable[Concatenate[Who, Given], Result],
) -> Callable[Concatenate[Who, Given], Result | None]:
    """What happens beside the run: timed, and never its end."""

    @wraps(function)
    def call(self: Who, *args: Given.args, **kwargs: Given.kwargs) -> Result | None:
        if not self.is_on or torch.compiler.is_compiling():
            return None
        began = time.perf_counter()
        try:
            return function(self, *args, **kwargs)
        except Exception as error:
            self.give_up(error)
            return None
        finally:
            self.own += time.perf_counter() - began

    return call


def caller(frame: FrameType | None, above: int) -> FrameType | None:
    """The frame that many calls above one."""
    for _ in range(above):
        frame = frame and frame.f_back
    return frame
