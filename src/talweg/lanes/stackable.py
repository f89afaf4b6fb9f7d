"""Whether a model can be stacked: it must give the same numbers among others as alone."""

import re
import warnings

import torch
from torch import Tensor, nn

from talweg.lanes.compiling import Compiler
from talweg.lanes.gradients import Buffers, Gradients, OneModule, Stacked
from talweg.lanes.layout import Layout
from talweg.losses import Loss


def why_not(
    module: nn.Module,
    layout: Layout,
    loss: Loss,
    start: tuple[Tensor, Buffers],
    x: Tensor,
    y: Tensor,
) -> str | None:
    """Why a model cannot be stacked; None if it can.

    Args:
        module: The model.
        layout: Its layout.
        loss: The loss.
        start: A lane's parameters ``[parameter]`` and everything else.
        x: A few samples ``[n, …]``.
        y: Their targets.
    """
    alone = OneModule(module, layout, loss)
    stacked = Stacked(module, layout, loss, 0, Compiler(False, lambda _: None))
    expected = _trial(alone, 1, start, x, y, noise=0)
    try:
        with warnings.catch_warnings():
            # What vmap has no rule for it runs lane by lane, slower than serial lanes.
            warnings.filterwarnings("error", message=".*batching rule")
            found = _trial(stacked, 2, start, x, y, noise=0)
    except Exception as error:
        missing = re.search(
            r"batching rule for (aten::\w+)|[Bb]atching rule .*(aten::\w+)", str(error)
        )
        return f"torch cannot batch {missing[1] or missing[2]}" if missing else first_line(error)
    if not torch.equal(expected[1], _trial(alone, 1, start, x, y, noise=1)[1]):
        return None  # the model draws random numbers: there is nothing to compare with
    for what, ours, theirs in zip(("loss", "gradient", "output"), found, expected, strict=True):
        size = theirs.abs().max() + torch.finfo(theirs.dtype).tiny
        if not (ours - theirs).abs().max() <= 1e-3 * size:
            return f"its {what} differs from what it has alone"
    return None


def first_line(error: Exception) -> str:
    """An exception as one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def _trial(
    gradients: Gradients,
    lanes: int,
    start: tuple[Tensor, Buffers],
    x: Tensor,
    y: Tensor,
    noise: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Loss, gradient and outputs in evaluation of the last of some equal lanes."""
    params, rest = start
    at = params.expand(lanes, -1).clone()
    own = {name: value.expand(lanes, *value.shape).clone() for name, value in rest.items()}
    grads = torch.zeros_like(at)
    xs, ys = (values.expand(lanes, *values.shape) for values in (x, y))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(noise)
        losses = gradients.losses(at, own, xs, ys, grads)
        outputs = gradients.outputs(at, own, x)
    return losses[-1], grads[-1], outputs[-1]
