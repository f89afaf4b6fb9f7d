"""Map-style data sets of PyTorch: what is asked of them, and reading them once."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, default_collate

from talweg.core import UserError, first_line
from talweg.data.raw import Raw
from talweg.data.several import from_given


def check_map_style(dataset: Dataset[Any]) -> None:
    """Raises a UserError for a data set of unknown length, or of none."""
    if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__"):
        raise UserError(
            f"the data set must be map-style, with a length, got {type(dataset).__name__}: "
            f"collect its samples first, as (X, y), or learn from it as it arrives by "
            f"talweg.lanes.train"
        )
    if len(dataset) == 0:  # type: ignore[arg-type]
        raise UserError("the data set is empty")


def class_names(dataset: Dataset[Any]) -> tuple[str, ...]:
    """What a data set calls its classes; none if it does not say."""
    names: Any = getattr(dataset, "classes", None)
    is_named = isinstance(names, (list, tuple)) and all(isinstance(word, str) for word in names)
    return tuple(names) if is_named else ()


def from_dataset(dataset: Dataset[Any], memory: int) -> Raw:
    """A data set that is read now; ``memory`` are the bytes that the process may take."""
    raw = from_given(*tensors_of(dataset), type(dataset).__name__, memory)
    return replace(raw, classes=class_names(dataset))


def tensors_of(
    dataset: Dataset[Any],
) -> tuple[Tensor | tuple[Tensor, ...] | dict[str, Tensor], Tensor]:
    """All samples of a data set as two tensors, or as several inputs and a tensor.

    Raises:
        UserError: If its length is unknown or 0, or its samples are not pairs that can be stacked.
    """
    check_map_style(dataset)
    # A generator of its own, so that reading does not advance the user's random numbers.
    loader = DataLoader(dataset, batch_size=256, generator=torch.Generator(), collate_fn=collated)
    xs: list[Any] = []
    ys: list[Tensor] = []
    with readable():
        for batch in loader:
            x, y = pair_of(batch)
            xs.append(x)
            ys.append(y)
        return _joined(xs), torch.cat(ys)


@contextmanager
def readable() -> Generator[None]:
    """Inside, samples of a data set that cannot be used together are complained of in a line."""
    try:
        yield
    except UserError:
        raise
    except (TypeError, ValueError, RuntimeError, KeyError, AttributeError) as error:
        raise UserError(
            f"the data set must yield (x, y) pairs of numbers or tensors of one shape, or "
            f"((a, b), y) or ({{name: a}}, y) for several inputs: {first_line(error)}"
        ) from None


def pair_of(batch: Any) -> tuple[Any, Tensor]:
    """Inputs and targets of some samples of a data set."""
    if not isinstance(batch, (list, tuple)):
        raise TypeError(f"got {type(batch).__name__}")
    x, y = batch  # pyright: ignore[reportUnknownVariableType]
    return x, y  # pyright: ignore[reportUnknownVariableType]


def collated(samples: Sequence[Any]) -> Any:
    """A batch of samples, of whose inputs PyTorch would leave out what the first one lacks."""
    _check_names([sample[0] for sample in samples if isinstance(sample, (tuple, list)) and sample])
    return default_collate(list(samples))


def _check_names(xs: Sequence[Any]) -> None:
    """Complains of samples whose inputs have other names than those of the first."""
    for x in xs:
        first, other = _names(xs[0]), _names(x)
        if first != other:
            raise ValueError(f"x has other names in some samples than in others: {first} / {other}")


def _names(x: Any) -> str:
    """The names of inputs, in one order."""
    return ", ".join(sorted(map(str, x))) if isinstance(x, Mapping) else "none"  # pyright: ignore[reportUnknownArgumentType]


def _joined(parts: Sequence[Any]) -> Any:
    """Parts of an input one after another, or those of each input."""
    first = parts[0]
    if isinstance(first, Mapping):
        _check_names(parts)
        return {name: torch.cat([part[name] for part in parts]) for name in first}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(first, (list, tuple)):
        return tuple(torch.cat(own) for own in zip(*parts, strict=True))  # pyright: ignore[reportUnknownArgumentType]
    return torch.cat(list(parts))
