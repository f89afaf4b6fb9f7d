"""Settings of other frameworks as rules."""

from typing import Any

import torch

from talweg.core import Rule, UserError, choose
from talweg.explain import keras
from talweg.explain.keras import KERAS
from talweg.explain.optax import OPTAX
from talweg.explain.pytorch import PYTORCH, rule_of_live

FRAMEWORKS = {"pytorch": PYTORCH, "keras": KERAS, "optax": OPTAX}
ALIASES = {"torch": "pytorch", "tensorflow": "keras", "tf": "keras"}


def convert(source: Any, optimizer: str | None = None, /, *rate: Any, **settings: Any) -> Rule:
    """The rule that makes the same run as an optimizer of another framework.

    What is converted are the settings: a run that has begun starts anew.

    Args:
        source: ``"pytorch"``, ``"keras"`` or ``"optax"``, or an optimizer of PyTorch or Keras.
        optimizer: The optimizer's name there, such as ``"RMSprop"``; only with a framework's name.
        rate: The learning rate, where it is not among the settings.
        settings: Its settings by their names there; the framework's defaults serve for the rest.

    Returns:
        The rule, with transforms around it where the settings ask for them.

    Raises:
        UserError: If something is unknown or cannot be converted without changing the run.

    >>> convert("keras", "RMSprop", learning_rate=0.01)
    RMSProp(lr=0.01, rho=0.9, eps=1e-07, eps_inside=True, momentum=0.0, nesterov=False, \
stored=False, centered=False, form='velocity', initial=0.0)
    """
    if isinstance(source, str):
        key = ALIASES.get(source.lower(), source.lower())
        if key not in FRAMEWORKS:
            raise choose("framework", source, FRAMEWORKS)
        if optimizer is None:
            raise UserError(f"which optimizer of {FRAMEWORKS[key].name}? convert({source!r}, NAME)")
        if not isinstance(optimizer, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UserError(
                f"the optimizer's name is text, got {type(optimizer).__name__}; an optimizer tells "
                "its settings itself: leave out the name, convert(optimizer)"
            )
        return FRAMEWORKS[key].convert(optimizer, _with_rate(FRAMEWORKS[key].rate, rate, settings))
    if optimizer is not None or rate or settings:
        raise UserError("an optimizer tells its settings itself: convert(optimizer)")
    if isinstance(source, torch.optim.Optimizer):
        return rule_of_live(source)
    home = type(source).__module__.partition(".")[0]
    if home == "keras":
        return KERAS.convert(*keras.read(source))
    if home == "optax":
        raise UserError("optax' optimizers do not tell their settings: convert('optax', NAME, …)")
    raise UserError(
        f"convert takes {', '.join(map(repr, FRAMEWORKS))} or an optimizer of PyTorch or Keras, "
        f"got {type(source).__name__}"
    )


def _with_rate(name: str, rate: tuple[Any, ...], settings: dict[str, Any]) -> dict[str, Any]:
    """The settings with the learning rate among them."""
    if len(rate) > 1:
        raise UserError(f"only the learning rate goes without its name, got {len(rate)} values")
    if rate and name in settings:
        raise UserError(f"the learning rate is given twice: as {name}= and without a name")
    return {**dict.fromkeys([name] if rate else [], *rate), **settings}
