"""`watch`: measures a training run from beside it, and says what goes wrong."""

from collections.abc import Mapping, Sequence

from torch import nn
from torch.optim.optimizer import Optimizer

from talweg.core import UserError, check_flag, choose, whole_number
from talweg.diagnose.beside import EVERY
from talweg.diagnose.findings import DIAGNOSES
from talweg.diagnose.findings.finding import settled
from talweg.diagnose.health import Health
from talweg.diagnose.panel import Panel
from talweg.diagnose.watching import Watch

TIERS = ("light", "full")


def watch(
    model: nn.Module,
    optimizer: Optimizer | None = None,
    *,
    every: int | None = None,
    tier: str = "light",
    silence: Sequence[str] = (),
    thresholds: Mapping[str, Mapping[str, float]] | None = None,
    live: bool = False,
) -> Watch:
    """Watches a training run: ``with talweg.watch(model, optimizer) as health:`` around any loop.

    At every few steps it measures gradients, weights, updates and what layers give, and says what
    goes wrong as soon as it persists. The run is not changed by a bit: nothing is drawn, nothing
    written, and what is measured twice is put back.

    A step is a call of the optimizer's ``step``, or of all that hold parameters of the model, one
    after the other. Gradients are measured right before it: unscaled, clipped and summed up as the
    loop does it.

    Args:
        model: The model; also one that is compiled, wrapped for several processes, or in parts that
            are called one by one.
        optimizer: What trains it; None for whatever optimizer steps its parameters, for loops that
            make their own (Lightning, Transformers).
        every: Steps from one measured step to the next; None for 25, and from step 10,000 on 250,
            and so on.
        tier: ``"light"``, or ``"full"`` with curvature, gradient noise and bounds, which take a few
            more passes at the first measured step from every 50th on (and from step 10,000 on
            every 500th, and so on), and for a moment the memory of two more steps. The loss is
            then differentiated more often than the loop does it, which only hooks on its tensors
            can tell; see `Full`.
        silence: Names of findings that are not wanted, or one name.
        thresholds: Name of a finding → threshold → another value.
        live: Whether a panel on the error stream shows the run meanwhile; where that is no
            terminal, a line for each new finding.

    Returns:
        A context manager that gives a `Health`, which grows meanwhile and stays afterwards.

    Raises:
        UserError: If an argument cannot be used.

    >>> import torch
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> with watch(model, optimizer) as health:
    ...     for _ in range(30):
    ...         optimizer.zero_grad()
    ...         model(torch.randn(16, 4)).square().mean().backward()
    ...         optimizer.step()
    >>> health.steps, len(health.moments)
    (30, 2)
    """
    if not isinstance(model, nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UserError(f"model must be an nn.Module, got {type(model).__name__}")
    if not any(value.requires_grad for value in model.parameters()):
        raise UserError("the model has no parameters that are trained")
    if tier not in TIERS:
        raise choose("tier", tier, TIERS)
    if every is not None:
        every = whole_number("every", every)
    check_flag("live", live)
    changed = {} if thresholds is None else thresholds
    health = Health(settled(DIAGNOSES, silence, changed), every or EVERY, tier)
    watching = Watch(model, health, every, tier == "full")
    if live:
        watching.panel = Panel(health)
    if optimizer is not None:
        if not isinstance(optimizer, Optimizer):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UserError(
                f"optimizer must be a torch.optim.Optimizer, got {type(optimizer).__name__}"
            )
        if not watching.expect(optimizer):
            raise UserError("the optimizer holds none of the model's parameters")
    return watching
