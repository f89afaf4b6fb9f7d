"""A model before its first step: its layers, and how the gradient comes through them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from talweg.data.inputs import X, call
from talweg.diagnose.comes_by import Site
from talweg.diagnose.moment import WHOLE, Layer
from talweg.diagnose.start import constant_loss
from talweg.diagnose.taking import Taking
from talweg.diagnose.trace import Trace


@dataclass(frozen=True)
class Beginning:
    """What is known of a model before its first step.

    Attributes:
        layers: Its layers, in the order of a forward pass.
        sites: Where what their units give comes by.
        values: Measure → layer → value.
    """

    layers: tuple[Layer, ...] = ()
    sites: tuple[Site, ...] = ()
    values: Mapping[str, Mapping[str, float]] = field(default_factory=dict[str, dict[str, float]])


def beginning(
    module: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], x: X, y: Tensor
) -> Beginning:
    """Follows one batch through a model and back.

    Args:
        module: The model; its parameters are left as they are, its buffers may change.
        loss: ``(output, target) ->`` a scalar.
        x: A batch of inputs ``[n, …]``.
        y: Their targets.

    Returns:
        Nothing at all where the gradient cannot be taken.

    >>> model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    >>> x, y = torch.randn(8, 3), torch.zeros(8).long()
    >>> found = beginning(model, nn.functional.cross_entropy, x, y)
    >>> [layer.name for layer in found.layers], [site.module for site in found.sites]
    (['0', '2'], ['1'])
    """
    taking, failed = Taking(), list[Exception]()
    trace = Trace(module.train(), taking, failed.append)
    trace.attach()
    try:
        with torch.enable_grad(), torch.random.fork_rng(devices=[]):
            value = loss(call(module, x), y)
            value.backward()
    except (RuntimeError, ArithmeticError):
        return Beginning()
    finally:
        trace.detach()
    if failed:
        return Beginning()
    constant, outputs, grad = None, trace.outputs, taking.grad
    if outputs is not None and grad is not None:
        constant = constant_loss(outputs, grad, value.detach())
    values = taking.finish()
    values["loss"] = {WHOLE: float(value.detach())}
    if constant is not None:
        values["constant loss"] = {WHOLE: constant}
    return Beginning(tuple(trace.layers), tuple(trace.sites.values()), values)
