"""A model before its first step: its layers, and how the gradient comes through them."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from talweg.data.inputs import X, call
from talweg.diagnose.attenuation import sizes, weights
from talweg.diagnose.comes_by import Site
from talweg.diagnose.measures.curvature import flat, hessian, largest
from talweg.diagnose.moment import WHOLE, Layer
from talweg.diagnose.sharpness import CHANCE
from talweg.diagnose.start import constant_loss
from talweg.diagnose.taking import Taking
from talweg.diagnose.trace import Trace

PRODUCTS = 24
"""Products of the Hessian with vectors, at most."""
MOST = 2**27
"""Numbers that those vectors may hold together."""
PATIENCE = 0.2
"""Seconds that a gradient may take for the Hessian to be looked at."""


@dataclass(frozen=True)
class Beginning:
    """What is known of a model before its first step.

    Attributes:
        layers: Its layers, in the order of a forward pass.
        sites: Where what their units give comes by.
        values: Measure → layer → value.
        gradients: The root mean square of the loss's gradient in every weight that the output
            depends on, by the parameter's name; None for one that is not finite.
    """

    layers: tuple[Layer, ...] = ()
    sites: tuple[Site, ...] = ()
    values: Mapping[str, Mapping[str, float]] = field(default_factory=dict[str, dict[str, float]])
    gradients: Mapping[str, float | None] = field(default_factory=dict[str, float | None])


def beginning(
    module: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], x: X, y: Tensor
) -> Beginning:
    """Follows one batch through a model and back.

    Args:
        module: The model; its parameters are left as they are, with gradients; its buffers may
            change.
        loss: ``(output, target) ->`` a scalar.
        x: A batch of inputs ``[n, …]``.
        y: Their targets.

    Returns:
        Nothing at all where the gradient cannot be taken; only gradients where the model's modules
        cannot be followed.

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
            value = loss(call(module, x.clone()), y)
            trace.look_back(value)
            value.backward()
    except (RuntimeError, ArithmeticError):
        return Beginning()
    finally:
        trace.detach()
    named = weights(module)
    gradients = sizes(list(named), [value.grad for value in named.values()])
    if failed:
        return Beginning(gradients=gradients)
    constant, outputs, grad = None, trace.outputs, taking.grad
    if outputs is not None and grad is not None:
        constant = constant_loss(outputs, grad, value.detach())
    values = taking.finish()
    values["loss"] = {WHOLE: float(value.detach())}
    if constant is not None:
        values["constant loss"] = {WHOLE: constant}
    sharpness = _sharpness(module, loss, x, y)
    if sharpness is not None:
        values["sharpness"] = {WHOLE: sharpness}
    return Beginning(tuple(trace.layers), tuple(trace.sites.values()), values, gradients)


def _sharpness(
    module: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], x: X, y: Tensor
) -> float | None:
    """The largest eigenvalue of the loss's Hessian; None where it would take long, or cannot be.

    A model that cannot be differentiated twice has none, and one that takes long has none either:
    `PRODUCTS` of a Hessian with vectors are as many passes, and hold as many vectors.
    """
    params = [value for value in module.parameters() if value.requires_grad]
    if PRODUCTS * sum(value.numel() for value in params) > MOST:
        return None
    began = time.perf_counter()
    try:
        with torch.enable_grad(), torch.random.fork_rng(devices=[]):
            value = loss(call(module, x.clone()), y)
            grads = torch.autograd.grad(
                value, params, create_graph=True, allow_unused=True, materialize_grads=True
            )
        if time.perf_counter() - began > PATIENCE:
            return None
        grad = flat(grads)
        drawn = torch.randn(len(grad), generator=torch.Generator().manual_seed(0)).to(grad)
        size = torch.linalg.vector_norm(grad).clamp(min=torch.finfo(grad.dtype).tiny)
        start = grad / size + CHANCE * drawn / torch.linalg.vector_norm(drawn)
        found = largest(hessian(grads, params), start, PRODUCTS)
    except (RuntimeError, ArithmeticError, ValueError):
        return None
    return found.value if 0 < found.value < math.inf else None
