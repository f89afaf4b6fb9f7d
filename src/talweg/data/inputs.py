"""Several inputs of one model, and what is done alike to one input and to several."""

from collections.abc import Callable, Generator, Mapping, Sequence, Sized
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from talweg.core import UserError

Key: TypeAlias = int | str
"""Which of several inputs: its place, or the name of the model's argument."""


def label(key: Key) -> str:
    """What one of several inputs is called in messages.

    >>> label(0), label("ids")
    ('x[0]', "x['ids']")
    """
    return f"x[{key!r}]"


@contextmanager
def said_of(name: str) -> Generator[None]:
    """Puts what one of several inputs is called before what is wrong with it.

    Args:
        name: That; empty for a single input.
    """
    try:
        yield
    except UserError as error:
        if not name:
            raise
        raise UserError(f"{name}: {error}") from error


def check_rows(inputs: Mapping[str, Sized]) -> None:
    """Raises a UserError unless there are inputs, by what they are called, of one length."""
    if not inputs:
        raise UserError("x must hold at least one input, got none")
    if len({len(values) for values in inputs.values()}) > 1:
        rows = ", ".join(f"{name} {len(values)}" for name, values in inputs.items())
        raise UserError(f"inputs must have the same number of rows, got {rows}")


@dataclass(frozen=True, eq=False)
class Inputs:
    """Inputs of a model that takes several: tensors that belong together row by row.

    Args:
        positional: In the order of the model's ``forward``, each ``[N, …]``.
        named: By the names of its arguments, each ``[N, …]``.

    >>> x = Inputs(named={"ids": torch.zeros(3, 5, dtype=torch.int64), "bias": torch.ones(3)})
    >>> len(x), len(x[:2]), shown(x)
    (3, 2, "x['ids'] [3, 5] int64, x['bias'] [3]")
    """

    positional: tuple[Tensor, ...] = ()
    named: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])

    @classmethod
    def of(cls, inputs: Mapping[Key, Tensor]) -> "Inputs":
        """Those of numbers in their order, and the others by name."""
        return cls(
            tuple(values for key, values in inputs.items() if isinstance(key, int)),
            {key: values for key, values in inputs.items() if isinstance(key, str)},
        )

    @property
    def by_name(self) -> dict[str, Tensor]:
        """What each is called in messages → the input."""
        first = {label(place): values for place, values in enumerate(self.positional)}
        return first | {label(name): values for name, values in self.named.items()}

    @property
    def nbytes(self) -> int:
        """Bytes that all of them take."""
        return sum(values.nbytes for values in self._all)

    @property
    def _all(self) -> tuple[Tensor, ...]:
        return (*self.positional, *self.named.values())

    def check(self) -> None:
        """Complains of inputs that do not belong together.

        Raises:
            UserError: If there are none, or they are of different lengths.
        """
        for name, values in self.by_name.items():
            if values.dim() == 0:
                raise UserError(f"{name} must have one row per sample, got a single number")
        check_rows(self.by_name)

    def map(self, change: Callable[[Tensor], Tensor]) -> "Inputs":
        """What a function makes of each."""
        return Inputs(
            tuple(change(values) for values in self.positional),
            {name: change(values) for name, values in self.named.items()},
        )

    def to(self, device: torch.device | str) -> "Inputs":
        """The same on another device."""
        return self.map(lambda values: values.to(device))

    def clone(self) -> "Inputs":
        """The same in memory of their own."""
        return self.map(Tensor.clone)

    def __getitem__(self, rows: Any) -> "Inputs":
        return self.map(lambda values: values[rows])

    def __len__(self) -> int:
        return len(self._all[0])


X: TypeAlias = Tensor | Inputs
"""What a model is called with: one input, or several."""

Arguments: TypeAlias = tuple[tuple[Tensor, ...], dict[str, Tensor]]
"""The same as positional arguments and those by name."""


def arguments(x: X) -> Arguments:
    """What to pass to a model."""
    return ((x,), {}) if isinstance(x, Tensor) else (x.positional, dict(x.named))


def call(model: nn.Module, x: X) -> Any:
    """What a model gives for its inputs.

    >>> call(nn.Bilinear(2, 3, 1), Inputs((torch.zeros(4, 2), torch.zeros(4, 3)))).shape
    torch.Size([4, 1])
    """
    if isinstance(x, Tensor):
        return model(x)
    return model(*x.positional, **x.named)


def each(x: X, change: Callable[[Tensor], Tensor]) -> X:
    """What a function makes of the input, or of each input."""
    return change(x) if isinstance(x, Tensor) else x.map(change)


def stack(parts: Sequence[X]) -> X:
    """Inputs of one kind, contiguous in a new first dimension."""

    def stacked(values: Sequence[Tensor]) -> Tensor:
        return torch.stack([each.contiguous() for each in values])

    first = parts[0]
    if isinstance(first, Tensor):
        return stacked([part for part in parts if isinstance(part, Tensor)])
    all_of = [part for part in parts if isinstance(part, Inputs)]
    return Inputs(
        tuple(stacked(own) for own in zip(*(part.positional for part in all_of), strict=True)),
        {name: stacked([part.named[name] for part in all_of]) for name in first.named},
    )


def for_lanes(count: int, x: X, y: Tensor) -> tuple[X, Tensor]:
    """A batch ``[batch, …]`` for each of some lanes, in memory of its own: ``[lane, batch, …]``."""

    def spread(values: Tensor) -> Tensor:
        own = values.expand(count, *values.shape)
        return own.clone(memory_format=torch.contiguous_format)

    return each(x, spread), spread(y)


def shown(x: X, *, sample: bool = False) -> str:
    """The shape of the input; or of each by its name, with its type if it is no real number.

    Args:
        x: The inputs.
        sample: Whether of a sample, rather than of all of them.
    """
    return ", ".join(f"{name} {kind}".lstrip() for name, kind in kinds(x, sample=sample).items())


def kinds(x: X, *, sample: bool = True) -> dict[str, str]:
    """What is the same for inputs that a model can take alike; see `shown`."""
    if isinstance(x, Tensor):
        return {"": str(list(x.shape[sample:]))}
    return {
        name: str(list(own.shape[sample:]))
        + ("" if own.is_floating_point() else f" {str(own.dtype).removeprefix('torch.')}")
        for name, own in x.by_name.items()
    }
