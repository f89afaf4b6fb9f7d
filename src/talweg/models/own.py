"""Where the user's own models come from: callables, modules, files."""

import copy
import inspect
from collections.abc import Callable
from typing import TypeAlias, cast

from torch import nn

from talweg.core import UserError, choose, from_file, listing
from talweg.models.source import ModelSource
from talweg.models.table import MODELS

Model: TypeAlias = str | nn.Module | Callable[[], nn.Module]


def source_of(model: Model | ModelSource) -> ModelSource:
    """The source of a user's model.

    Args:
        model: A callable that returns a new module, ``"file.py:name"`` of one, or a module, which
            is copied and re-initialised through its layers' ``reset_parameters``.

    Raises:
        UserError: If there is no such file or name, it gives something else than a module, or a
            module has parameters that no layer can draw anew.
    """
    if isinstance(model, ModelSource):
        return model
    if isinstance(model, nn.Module):
        return _copies_of(model, type(model).__name__)
    if isinstance(model, str):
        return _from_file(model)
    if not callable(model):
        raise UserError(
            f"a model is an nn.Module, a callable that returns one, a name or 'file.py:name', "
            f"got {type(model).__name__}"
        )
    return ModelSource(getattr(model, "__name__", "model"), _checked(model, "the model callable"))


RESETS = ("reset_parameters", "_reset_parameters")
"""What layers call the method that draws their parameters; attention has the second."""


def reinitialised(model: nn.Module) -> nn.Module:
    """A copy of a module whose layers have drawn new parameters, the innermost first."""
    fresh = copy.deepcopy(model)
    for layer in reversed(list(fresh.modules())):
        for name in RESETS:
            reset = getattr(layer, name, None)
            if callable(reset):
                reset()
    return fresh


def _copies_of(model: nn.Module, name: str) -> ModelSource:
    drawn = {
        parameter
        for layer in model.modules()
        if any(callable(getattr(layer, reset, None)) for reset in RESETS)
        for parameter in layer.parameters()
    }
    kept = [key for key, parameter in model.named_parameters() if parameter not in drawn]
    if kept:
        raise UserError(
            f"{name} cannot be re-initialised: no layer has a reset_parameters for "
            f"{listing(kept)}; pass a callable that builds the module"
        )
    return ModelSource(name, lambda: reinitialised(model))


def _checked(make: Callable[[], nn.Module], what: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        module = make()
        if not isinstance(module, nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UserError(f"{what} must return an nn.Module, got {type(module).__name__}")
        return module

    return build


def _from_file(text: str) -> ModelSource:
    path, colon, name = text.rpartition(":")
    if not colon or not path.endswith(".py"):
        raise choose("model", text, MODELS, f"{', '.join(MODELS)}, or 'file.py:name'")
    found = from_file(text, "model")
    if isinstance(found, nn.Module):
        return _copies_of(found, name)
    if not callable(found):
        raise UserError(f"{text} must be a callable that returns an nn.Module, got {found!r}")
    try:
        parameters = inspect.signature(found).parameters.values()
    except ValueError:  # a built-in
        parameters = ()
    needed = [
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    if needed:
        raise UserError(f"{text} must take no arguments, but it needs {', '.join(needed)}")
    return ModelSource(name, _checked(cast(Callable[[], nn.Module], found), text))
