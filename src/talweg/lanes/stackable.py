"""Whether a model can be trained, and whether among others it gives what it gives alone."""

import re
import warnings
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from talweg.core import UserError, first_line
from talweg.data.inputs import X, for_lanes
from talweg.lanes.compiling import Compiler
from talweg.lanes.gradients import Buffers, Gradients, OneModule, Stacked
from talweg.lanes.layout import Layout
from talweg.lanes.precision import Precision
from talweg.losses import Loss

OWN = Precision()
"""A model's own type throughout."""


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
    build: Callable[[], nn.Module],
    layout: Layout,
    loss: Loss,
    x: X,
    y: Tensor,
    noise: int = 0,
    precision: Precision = OWN,
) -> Trial:
    """Trains a new module for one step on a few samples.

    Args:
        build: Makes the module.
        layout: Its layout.
        loss: The loss.
        x: Samples ``[n, …]``.
        y: Their targets.
        noise: Seeds what the module draws.
        precision: What it computes in.

    Raises:
        UserError: If the module or the loss raises.
    """
    module = build()
    start = layout.flatten(module), layout.rest(module)
    try:
        return _trial(OneModule(module, layout, loss, precision), 1, start, x, y, noise)
    except UserError:
        raise
    except Exception as error:
        count = f"{len(x)} sample{'s' if len(x) > 1 else ''}"
        raise UserError(
            f"the model cannot be trained on a batch of {count}: {first_line(error)}"
        ) from error


def why_not(
    build: Callable[[int], nn.Module],
    layout: Layout,
    loss: Loss,
    x: X,
    y: Tensor,
    precision: Precision = OWN,
) -> str | None:
    """Why a model cannot be stacked; None if it can.

    The module of one seed, stacked, is given the parameters of another: what that other one keeps
    apart from parameters and buffers, in plain attributes, then shows as a difference. They are
    compared in the model's own type, where rounding hides nothing.

    Args:
        build: Makes the module of a seed.
        layout: Its layout.
        loss: The loss.
        x: A few samples ``[n, …]``.
        y: Their targets.
        precision: What lanes will compute in; stacked, the model must work in it too.
    """
    alone = [trial_alone(lambda: build(1), layout, loss, x, y, noise) for noise in (0, 1)]
    changing = _changing(build, layout, loss, x, y)
    if changing:
        return f"it changes {changing}, which is no buffer, at every step"
    other = build(1)
    try:
        compiler = Compiler(False, lambda _: None)
        stacked, asked = (
            Stacked(build(0), layout, loss, (), compiler, each) for each in (OWN, precision)
        )
        with warnings.catch_warnings():
            # What vmap has no rule for it runs lane by lane, slower than serial lanes.
            warnings.filterwarnings("error", message=".*batching rule")
            start = layout.flatten(other), layout.rest(other)
            found = _trial(stacked, 2, start, x, y, noise=0)
            if precision.name:
                _trial(asked, 2, start, x, y, noise=0)
    except Exception as error:
        return _in_words(error)
    if not torch.equal(alone[0].gradient, alone[1].gradient):
        return None  # the model draws random numbers: there is nothing to compare with
    for what in ("loss", "gradient", "outputs", "buffers"):
        ours: Tensor = getattr(found, what)
        theirs: Tensor = getattr(alone[0], what)
        size = theirs.abs().max() + torch.finfo(theirs.dtype).tiny if theirs.numel() else 0
        if theirs.numel() and not (ours - theirs).abs().max() <= 1e-3 * size:
            differ = "differ" if what in ("outputs", "buffers") else "differs"
            return f"among others its {what} {differ} from alone"
    return None


REASONS = (
    (r"[Bb]atching rule .*?(aten::\w+)", "torch cannot batch {}"),
    (r"dynamic shape\. Attempted to vmap over (aten::\w+)", "how much {} gives depends on values"),
    (r"with a boolean mask", "how much a boolean index gives depends on values"),
    (
        r"\.item\(\)|data-dependent control flow",
        "it reads the value of a tensor in Python, as .item() or an if does",
    ),
    (
        r"Cannot access data pointer",
        "it takes the values of a tensor out of torch, as .numpy() does",
    ),
    (r"requires_grad_\(\)|does not require grad", "it takes gradients of its own in its forward"),
    (r"with Jitted modules", "it is a TorchScript module"),
    (
        r"autograd\.Function with functorch",
        "an autograd.Function in it has no setup_context, as a backward hook has none",
    ),
    (r"autograd\.Function with vmap", "an autograd.Function in it has no vmap rule"),
)
"""What torch says of a model that it cannot stack → what we say; ``{}`` is what is in brackets."""


def _in_words(error: Exception) -> str:
    for pattern, words in REASONS:
        found = re.search(pattern, str(error))
        if found:
            return words.format(*found.groups())
    return first_line(error)


def _changing(
    build: Callable[[int], nn.Module], layout: Layout, loss: Loss, x: X, y: Tensor
) -> str | None:
    """A plain attribute that a model changes at every step, but for tensors; None without one.

    Once stacked the lanes would share it, and the compiler would compile anew for each value.
    """
    module = build(1)
    kept: list[dict[str, Any]] = []
    for _ in range(2):  # at the first step a model may fill what it keeps from then on
        trial_alone(lambda: module, layout, loss, x, y)
        kept.append(
            {
                f"{name}.{key}".lstrip("."): _summary(value)
                for name, part in module.named_modules()
                for key, value in vars(part).items()
            }
        )
    return next((name for name in kept[1] if kept[0].get(name) != kept[1][name]), None)


def _summary(value: Any, depth: int = 3) -> Any:
    """What shows whether plain numbers, or how many things there are, have changed."""
    if isinstance(value, (bool, int, float, complex, str)):
        return value
    if isinstance(value, (Tensor, nn.Module)) or not depth:
        return None
    if isinstance(value, dict):
        return {key: _summary(item, depth - 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, deque)):
        return [_summary(item, depth - 1) for item in value]
    if isinstance(value, (set, frozenset)):
        return len(value)
    return _summary(getattr(value, "__dict__", None), depth - 1)


def _trial(
    gradients: Gradients,
    lanes: int,
    start: tuple[Tensor, Buffers],
    x: X,
    y: Tensor,
    noise: int,
) -> Trial:
    """What the last of some equal lanes gives."""
    params, rest = start
    at = params.expand(lanes, -1).clone()
    own = {name: value.expand(lanes, *value.shape).clone() for name, value in rest.items()}
    grads = torch.zeros_like(at)
    xs, ys = for_lanes(lanes, x, y)
    with torch.random.fork_rng(devices=[]), gradients.ready():
        torch.manual_seed(noise)
        before = torch.get_rng_state()
        losses = gradients.stepper(at, own, grads)(xs, ys)
        drew = not torch.equal(before, torch.get_rng_state())
        outputs = gradients.outputs(at, own, x.clone())
    buffers = [value[-1].to(at.dtype).reshape(-1) for value in own.values()]
    return Trial(losses[-1], grads[-1], outputs[-1], torch.cat([at[-1][:0], *buffers]), drew)
