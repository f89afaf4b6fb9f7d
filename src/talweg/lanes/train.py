"""`talweg.lanes.train`: many training runs in one tensor program."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from talweg.core import Rule, UserError, choose, whole_number
from talweg.data import BatchOrder, Samples, as_samples
from talweg.lanes.checks import check_alike, source_for
from talweg.lanes.engine import Engine, Plan, Result, steps_of
from talweg.lanes.evaluate import Reading
from talweg.lanes.interrupts import one_interrupt
from talweg.losses import Loss, PerSample
from talweg.metrics import Metric
from talweg.models import Model
from talweg.rules import named
from talweg.schedules import Schedule, schedule_of


@dataclass(frozen=True)
class Run:
    """What `train` gives.

    Attributes:
        losses: ``[lane, step]``: each step's training loss before its update, at the point where
            the gradient was taken; NaN after a lane diverged.
        status: Per lane ``"ok"`` or ``"diverged at step N"``, steps counted from 1.
        strategy: How the lanes were run: ``"stacked"`` or ``"serial"``.
        notes: What the engine decided, in sentences.
    """

    losses: Tensor
    status: tuple[str, ...]
    strategy: str
    notes: tuple[str, ...]
    _engine: Engine
    _result: Result

    def params(self, lane: int) -> dict[str, Tensor]:
        """The state dict of a lane's model after its last step.

        Raises:
            UserError: If there is no such lane.
        """
        count = len(self.status)
        if not isinstance(lane, int) or not -count <= lane < count:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UserError(f"lane must be from 0 to {count - 1}, got {lane}")
        return self._engine.layout.state_dict(*self._result.states[lane % count])

    def __repr__(self) -> str:
        diverged = sum(status != "ok" for status in self.status)
        lanes, steps = self.losses.shape
        return f"Run({lanes} lanes × {steps} steps, {self.strategy}, {diverged} diverged)"


def train(
    model: Model,
    data: Any,
    rules: Rule | str | Sequence[Rule | str],
    seeds: int | Sequence[int] = (0,),
    *,
    steps: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = 64,
    loss: str | Loss | PerSample | None = None,
    strategy: str = "auto",
    schedule: str | Schedule | Mapping[str, Schedule] | None = None,
    device: str | torch.device | None = None,
    compile: bool | None = None,  # noqa: A002 - the word PyTorch uses
    evaluate: Mapping[str, Any] | None = None,
    metrics: Sequence[Metric] = (),
    each: Callable[[Reading], None] | None = None,
) -> Run:
    """Trains many lanes at once: rule i with seed i is lane i.

    Lanes of one seed share their initialisation and the order of their batches. A lane whose loss
    or parameters are no longer finite stops there; the others do not notice.

    Args:
        model: A callable that returns a module (it is called once per seed, after seeding torch),
            a module to re-initialise, ``"file.py:name"``, or a name in `talweg.models.MODELS`.
        data: ``(X, y)``, a torch Dataset, a file or a name; all of it is trained on. Arrays,
            tensors and Datasets are taken as they are, tables and named data are encoded and
            scaled.
        rules: One rule, or name of a rule, per lane.
        seeds: One seed per lane, or a single one for all.
        steps: Updates; 0 gives the initial parameters. Alternatively ``epochs``.
        epochs: Passes over the data.
        batch_size: Samples per batch; None for full-batch descent.
        loss: A name, a function ``(output, target)`` that returns one value per sample or a
            scalar, or None: cross-entropy for whole-number targets, mean squared error otherwise.
        strategy: ``"stacked"``: all lanes in one tensor program. ``"serial"``: one after another,
            for any model that PyTorch can train. ``"auto"``: stacked where the model allows it and
            gives the same numbers.
        schedule: A schedule of the learning rate, or ``{hyperparameter: schedule}``.
        device: Where to compute; None for a GPU if there is one.
        compile: Whether to compile; None goes by the amount of work, so that the same call always
            gives the same numbers.
        evaluate: Split name → ``(X, y)`` to evaluate at the end of each epoch.
        metrics: What to evaluate there besides the loss.
        each: Called with a `Reading` before the first step and at the end of each epoch.

    Raises:
        UserError: For input that cannot be used, in one line.

    >>> import torch
    >>> from talweg import rules
    >>> x = torch.randn(40, 3); y = x.sum(1)
    >>> run = train(lambda: torch.nn.Linear(3, 1), (x, y), steps=30, batch_size=None,
    ...             rules=[rules.SGD(lr=0.1), rules.SGD(lr=1e9)], seeds=[0, 0])
    >>> run.losses.shape, run.status[0]
    (torch.Size([2, 30]), 'ok')
    """
    rules = [rules] if isinstance(rules, (Rule, str)) else rules
    if not isinstance(rules, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UserError(f"rules must be names or talweg.rules objects, got {rules!r}")
    seeds = list(seeds) if isinstance(seeds, Iterable) else [seeds]
    chosen = [named(rule).rule for rule in rules]
    if not chosen:
        raise UserError("rules must name at least one rule")
    if len(seeds) not in (1, len(chosen)):
        raise UserError(
            f"seeds must be one per rule ({len(chosen)}) or a single one, got {len(seeds)}"
        )
    all_seeds = [whole_number("a seed", seed, at_least=0) for seed in seeds]
    if len(all_seeds) == 1:
        all_seeds *= len(chosen)
    schedules = schedules_of(schedule)
    hypers = {name: None for rule in chosen for name in rule.hypers}
    for name in schedules:
        if name not in hypers:
            raise choose("hyperparameter in schedule", name, hypers)
    samples = as_samples(data)
    source = source_for(model, samples)
    notes: list[str] = []
    total = steps_of(steps, epochs, BatchOrder(len(samples), batch_size, 0).steps_per_epoch)
    engine = Engine(
        source,
        samples,
        loss=loss,
        batch_size=batch_size,
        strategy=strategy,
        device=device,
        compiled=compile,
        lane_counts=[len(chosen)],
        lane_steps=len(chosen) * total,
        say=notes.append,
    )
    plan = Plan(
        chosen,
        all_seeds,
        total,
        schedules,
        _held_out(evaluate, samples),
        _fitting(metrics, samples),
    )
    with one_interrupt() as interrupt:
        result = engine.train(plan, each, interrupt.check)
    status = tuple(
        f"diverged at step {result.died[lane]}" if lane in result.died else "ok"
        for lane in range(len(chosen))
    )
    return Run(result.losses, status, engine.strategy, tuple(notes), engine, result)


def _held_out(evaluate: Mapping[str, Any] | None, trained: Samples) -> dict[str, Samples]:
    if evaluate is not None and not isinstance(evaluate, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UserError(f"evaluate must be {{name: (X, y)}}, got {type(evaluate).__name__}")
    found = {name: as_samples(held_out) for name, held_out in (evaluate or {}).items()}
    for name, samples in found.items():
        check_alike(name, samples, trained)
    return found


def _fitting(metrics: Sequence[Metric], samples: Samples) -> list[Metric]:
    kind = "regression" if samples.y.is_floating_point() else "classification"
    for metric in metrics:
        if not isinstance(metric, Metric):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UserError(f"metrics must be talweg.metrics.Metric objects, got {metric!r}")
        if metric.kind != kind:
            raise UserError(f"{metric.name} is no metric for {kind}")
    return list(metrics)


def schedules_of(
    schedule: str | Schedule | Mapping[str, Schedule] | None,
) -> dict[str, Schedule]:
    """Hyperparameter → schedule, from any way to ask for it."""
    if isinstance(schedule, Mapping):
        return {name: schedule_of(value) for name, value in schedule.items()}
    return {} if schedule is None else {"lr": schedule_of(schedule)}
