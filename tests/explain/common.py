"""A small problem that every framework descends, and the path of a rule on it."""

from collections.abc import Iterator
from itertools import product

import numpy as np
import torch
from tests.rules.cases import START, on_tensors, rule_run, valley_gradient

from talweg.core import Rule

STEPS = 40


def grid(**options: list) -> Iterator[dict]:
    """Every combination of some settings' values."""
    for values in product(*options.values()):
        yield dict(zip(options, values, strict=True))


def rule_path(rule: Rule) -> np.ndarray:
    """The parameters ``[step, coordinate]`` of a rule."""
    path = rule_run([rule] * STEPS, on_tensors(valley_gradient), torch.from_numpy(START))
    return torch.stack(path).numpy()


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """The largest difference of two paths, beside the parameter's size or 1."""
    assert np.abs(other[-1] - START).max() > 1e-6, "the path has to go somewhere"
    return float((np.abs(one - other) / np.maximum(np.abs(other), 1)).max())
