"""Whether a model can be trained, and whether among others it gives what it gives alone."""

import re
import warnings
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from talweg.core import UserError, first_line
from talweg.lanes.compiling import Compiler
from talweg.lanes.gradients import Buffers, Gradients, OneModule, Stacked
from talweg.lanes.layout import Layout
from talweg.losses import Loss


class Trial(NamedTuple):
    """What came of one step of training without an update."""

    loss: Tensor
    gradient: Tensor
    outputs: Tensor
    buffers: Tensor
    """All buffers and frozen parameters after it, in one row."""
    drew: bool
    """Whether it drew random numbers."""


def trial_alone(
    build: Callable[[], nn.Module], layout: Layout, loss: Loss, x: Tensor, y: Tensor, noise: int = 0
) -> Trial:
    """Trains a new module for one step on a few samples.

    Args:
        build: Makes the module.
        layout: Its layout.
        loss: The loss.
        x: Samples ``[n, …]``.
        y: Their targets.
        noise: Seeds what the module draws.

    Raises:
        UserError: If the module or the loss raises.
    """
    module = build()
    start = layout.flatten(module), layout.rest(module)
    try:
        return _trial(OneModule(module, layout, loss), 1, start, x, y, noise)
    except UserError:
        raise
    except Exception as error:
        count = f"{len(x)} sample{'s' if len(x) > 1 else ''}"
        raise UserError(
            f"the model cannot be trained on a batch of {count}: {first_line(error)}"
        ) from error


def why_not(
    build: Callable[[int], nn.Module], layout: Layout, loss: Loss, x: Tensor, y: Tensor
) -> str | None:
    """Why a model cannot be stacked; None if it can.

    The module of one seed, stacked, is given the parameters of another: what that other one keeps
    apart from parameters and buffers, in plain attributes, then shows as a difference.

    Args:
        build: Makes the module of a seed.
        layout: Its layout.
        loss: The loss.
        x: A few samples ``[n, …]``.
        y: Their targets.
    """
    alone = [trial_alone(lambda: build(1), layout, loss, x, y, noise) for noise in (0, 1)]
    other = build(1)
    try:
        stacked = Stacked(build(0), layout, loss, (), Compiler(False, lambda _: None))
        with warnings.catch_warnings():
            # What vmap has no rule for it runs lane by lane, slower than serial lanes.
            warnings.filterwarnings("error", message=".*batching rule")
            start = layout.flatten(other), layout.rest(other)
            found = _trial(stacked, 2, start, x, y, noise=0)
    except Exception as error:
        missing = re.search(
            r"batching rule for (aten::\w+)|[Bb]atching rule .*(aten::\w+)", str(error)
        )
        if missing:
            return f"torch cannot batch {missing[1] or missing[2]}"
        if ".item()" in str(error) or "data-dependent control flow" in str(error):
            return "it reads the value of a tensor in Python, as .item() or an if does"
        return first_line(error)
    if not torch.equal(alone[0].gradient, alone[1].gradient):
        return None  # the model draws random numbers: there is nothing to compare with
    for what in ("loss", "gradient", "outputs", "buffers"):
        ours: Tensor = getattr(found, what)
        theirs: Tensor = getattr(alone[0], what)
        size = theirs.abs().max() + torch.finfo(theirs.dtype).tiny if theirs.numel() else 0
        if theirs.numel() and not (ours - theirs).abs().max() <= 1e-3 * size:
            return f"among others its {what} differ{'' if what[-1] == 's' else 's'} from alone"
    return None


def _trial(
    gradients: Gradients,
    lanes: int,
    start: tuple[Tensor, Buffers],
    x: Tensor,
    y: Tensor,
    noise: int,
) -> Trial:
    """What the last of some equal lanes gives."""
    params, rest = start
    at = params.expand(lanes, -1).clone()
    own = {name: value.expand(lanes, *value.shape).clone() for name, value in rest.items()}
    grads = torch.zeros_like(at)
    xs, ys = (values.expand(lanes, *values.shape).clone() for values in (x, y))
    with torch.random.fork_rng(devices=[]), gradients.ready():
        torch.manual_seed(noise)
        before = torch.get_rng_state()
        losses = gradients.losses(at, own, xs, ys, grads)
        drew = not torch.equal(before, torch.get_rng_state())
        outputs = gradients.outputs(at, own, x.clone())
    buffers = [value[-1].to(at.dtype).reshape(-1) for value in own.values()]
    return Trial(losses[-1], grads[-1], outputs[-1], torch.cat([at[-1][:0], *buffers]), drew)
