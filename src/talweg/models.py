"""Models: small ready ones, and where the user's own come from."""

import copy
import importlib.util
import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any, TypeAlias, cast

import torch
from torch import nn

from talweg.activations import ACTIVATIONS
from talweg.core import UserError, choose, first_line, listing

Model: TypeAlias = str | nn.Module | Callable[[], nn.Module]


def mlp(
    inputs: int, outputs: int, hidden: Sequence[int] = (128, 128), activation: str = "relu"
) -> nn.Sequential:
    """A multilayer perceptron, initialised for its activation.

    Weights are drawn from ``N(0, gain²/fan_in)``, biases start at 0.

    Args:
        inputs: Features per sample; samples of more dimensions are flattened.
        outputs: Classes, or values per sample.
        hidden: Units of each hidden layer.
        activation: A name in `talweg.activations.ACTIVATIONS`.

    >>> mlp(4, 3, hidden=(8,))(torch.zeros(2, 4)).shape
    torch.Size([2, 3])
    """
    chosen = ACTIVATIONS[activation]
    for units in hidden:
        if not isinstance(units, Integral) or units < 1:
            raise UserError(f"hidden must be whole numbers of at least 1, got {units!r}")
    layers: list[nn.Module] = [nn.Flatten()]
    scale = 1.0
    for fan_in, fan_out in zip((inputs, *hidden), hidden, strict=False):
        if chosen.is_layer:
            layers.append(_drawn(chosen.make(fan_in, fan_out), fan_in, scale))
        else:
            layers += [_drawn(nn.Linear(fan_in, fan_out), fan_in, scale), chosen.make()]
        scale = chosen.properties.gain
    last = hidden[-1] if hidden else inputs
    layers.append(_drawn(nn.Linear(last, outputs), last, scale))
    return nn.Sequential(*layers)


def _drawn(layer: nn.Module, inputs: int, scale: float) -> nn.Module:
    """A layer with weights from ``N(0, scale²/inputs)`` and biases at 0."""
    for name, values in layer.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(values)
        else:
            nn.init.normal_(values, std=scale * inputs**-0.5)
    return layer


@dataclass(frozen=True)
class ModelSource:
    """Where models come from: one new module for each seed.

    Args:
        name: What to call it.
        make: Builds a module; what it draws at random follows from the seed.
    """

    name: str
    make: Callable[[], nn.Module]

    def build(self, seed: int) -> nn.Module:
        """The module that this seed starts from; torch's global generator is left as it was.

        Raises:
            UserError: If it cannot be built.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                return self.make()
            except UserError:
                raise
            except (Exception, SystemExit) as error:
                raise UserError(
                    f"{self.name} cannot be built: {type(error).__name__}: {first_line(error)}"
                ) from error


def mlp_source(
    inputs: int, outputs: int, hidden: Sequence[int] = (128, 128), activation: str = "relu"
) -> ModelSource:
    """The source of `mlp`, under a name that tells its sizes.

    >>> mlp_source(64, 10).name
    'mlp 64-128-128-10, relu'
    """
    sizes = "-".join(str(size) for size in (inputs, *hidden, outputs))
    return ModelSource(
        f"mlp {sizes}, {activation}", lambda: mlp(inputs, outputs, hidden, activation)
    )


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
            f"a model is an nn.Module, a callable that returns one, 'mlp' or 'file.py:name', "
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
    path_text, colon, name = text.rpartition(":")
    if not colon or not path_text.endswith(".py"):
        raise UserError(f"a model is 'mlp' or 'file.py:name', got {text!r}")
    path = Path(path_text)
    if not path.is_file():
        raise UserError(f"no model file {path_text!r} (in {Path.cwd()})")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise UserError(
            f"{path_text} cannot be imported: {type(error).__name__}: {first_line(error)}"
        ) from error
    finally:
        sys.path.pop(0)
    if not hasattr(module, name):
        own = [
            key
            for key, value in vars(module).items()
            if callable(value) and getattr(value, "__module__", "") == path.stem
        ]
        raise choose(f"model in {path_text}", name, own)
    found: Any = getattr(module, name)
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
