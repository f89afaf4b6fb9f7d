"""What is asked of map-style data sets of PyTorch, however they are read."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from talweg.core import UserError, first_line


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


def pair_of(batch: Any) -> tuple[Any, Tensor]:
    """Inputs and targets of some samples of a data set."""
    if not isinstance(batch, (list, tuple)):
        raise TypeError(f"got {type(batch).__name__}")
    x, y = batch  # pyright: ignore[reportUnknownVariableType]
    return x, y  # pyright: ignore[reportUnknownVariableType]


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
