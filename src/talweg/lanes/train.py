"""`talweg.lanes.train`: many training runs in one tensor program."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from talweg.core import Rule, UserError, whole_number
from talweg.data import BatchOrder, Samples, Stream, as_samples, is_stream, stream_of
from talweg.lanes.asked import (
    OneSchedule,
    check_endless,
    fitting,
    held_out,
    lane_schedules,
    rules_of,
    seeds_of,
)
from talweg.lanes.augment import Augment
from talweg.lanes.checks import source_for
from talweg.lanes.engine import Engine
from talweg.lanes.evaluate import Reading
from talweg.lanes.interrupts import one_interrupt
from talweg.lanes.plan import Plan, Result, steps_of, stream_steps_of
from talweg.losses import Loss, PerSample
from talweg.metrics import Metric
from talweg.models import Model


@dataclass(frozen=True)
class Run:
    """What `train` gives.

    Attributes:
        losses: ``[lane, step]``: each step's training loss before its update, at the point where
            the gradient was taken; NaN after a lane diverged. Of a stream there are as many as
            steps were made, each on samples never seen before: the online, or prequential, loss,
            which needs no held-out samples.
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
    drop_last: bool = False,
    loss: str | Loss | PerSample | None = None,
    strategy: str = "auto",
    schedule: OneSchedule | Sequence[OneSchedule | None] | None = None,
    device: str | torch.device | None = None,
    compile: bool | None = None,  # noqa: A002 - the word PyTorch uses
    evaluate: Mapping[str, Any] | None = None,
    read_every: int | None = None,
    metrics: Sequence[Metric] = (),
    each: Callable[[Reading], None] | None = None,
    memory: str | int | None = None,
    augment: Augment | None = None,
    precision: str | None = None,
) -> Run:
    """Trains many lanes at once: rule i with seed i is lane i.

    Lanes of one seed share their initialisation and the order of their batches. A lane whose loss
    or parameters are no longer finite stops there; the others do not notice.

    A stream is passed over once: every batch goes to all lanes, and then it is gone. Lanes share
    the order of batches whatever their seeds, which differ in initialisation alone. Training ends
    with the stream, or after ``steps``, for which not a sample too many is drawn, or when all lanes
    have diverged. A few batches are held at a time.

    Args:
        model: A callable that returns a module (it is called once per seed, after seeding torch),
            a module to re-initialise, ``"file.py:name"``, or a name in `talweg.models.MODELS`.
        data: ``(X, y)``, a torch Dataset, a file or a name; all of it is trained on. Arrays,
            tensors and Datasets are taken as they are, tables and named data are encoded and
            scaled. A model of several inputs gets ``model(a, b)`` from ``((a, b), y)`` and
            ``model(ids=a, mask=b)`` from ``({"ids": a, "mask": b}, y)``, or from a Dataset whose
            samples are such; see `talweg.data.as_samples`. Or a stream: an IterableDataset, a
            generator or any other iterable of unknown length gives samples ``(x, y)``, a DataLoader
            gives batches of them, and `talweg.data.Stream` says which for the rest.
        rules: One rule, or name of a rule, per lane.
        seeds: One seed per lane, or a single one for all.
        steps: Updates; 0 gives the initial parameters. Alternatively ``epochs``; a stream needs
            neither.
        epochs: Passes over the data.
        batch_size: Samples per batch; None for full-batch descent, 1 for one sample a step.
            Batches of a DataLoader are taken as they come.
        drop_last: Whether an epoch, or a stream, leaves out a last batch of fewer samples than
            the others.
        loss: A name, a function ``(output, target)`` that returns one value per sample or a
            scalar, or None: cross-entropy for whole-number targets, mean squared error otherwise.
        strategy: ``"stacked"``: all lanes in one tensor program. ``"serial"``: one after another,
            for any model that PyTorch can train. ``"auto"``: stacked where the model allows it and
            gives the same numbers.
        schedule: A schedule of the learning rate, or ``{hyperparameter: schedule}``, for all
            lanes; or a sequence with one of these, or None, per lane.
        device: Where to compute; None for a GPU if there is one.
        compile: Whether to compile; None goes by the amount of work, so that the same call always
            gives the same numbers.
        evaluate: Split name → ``(X, y)`` to evaluate at each reading.
        read_every: Steps between readings; None for those of an epoch, or none but the first
            and the last of a stream.
        metrics: What to evaluate there besides the loss.
        each: Called with a `Reading` before the first step, after each ``read_every`` steps or
            epoch, and after the last step.
        memory: A limit such as ``"2G"``, on the whole process while data is read, and on what
            lanes hold and compute with, PyTorch itself not counted; None for 80% of what is free.
            Data beyond it stays on disk (see `talweg.data.load`), lanes beyond it wait for others.
        augment: A function that changes the inputs of training batches at random, or
            ``"file.py:name"`` of one: of ``x [batch, …]`` another of the same shape and type, of
            several inputs a tuple or dict such as they are given in. It is called once for each
            seed and step, for all of the seed's lanes; what it draws from torch's, NumPy's or
            Python's global generators follows from the seed and the step. What is
            evaluated stays as it is.
        precision: ``"bf16"``: the model computes its forward and backward pass in bfloat16 where
            `torch.autocast` does; parameters, gradients, rules, losses and metrics stay in
            float32. ``"tf32"``: its float32 products and convolutions use TF32, on a GPU. None:
            all as the model is.

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
    chosen = rules_of(rules)
    all_seeds = seeds_of(seeds, len(chosen))
    schedules = lane_schedules(schedule, chosen)
    samples, total = _given(data, steps, epochs, batch_size, drop_last, memory)
    if total is None:
        check_endless(schedules)
    notes: list[str] = []
    engine = Engine(
        source_for(model, samples),
        samples,
        loss=loss,
        batch_size=batch_size,
        strategy=strategy,
        device=device,
        compiled=compile,
        drop_last=drop_last,
        lane_counts=[len(chosen)],
        lane_steps=None if total is None else len(chosen) * total,
        say=notes.append,
        memory=memory,
        augment=augment,
        precision=precision,
    )
    plan = Plan(
        chosen,
        all_seeds,
        total,
        schedules,
        held_out(evaluate, engine.samples, engine.classes, memory),
        fitting(metrics, engine.samples),
        read_every=None if read_every is None else whole_number("read_every", read_every),
    )
    with one_interrupt() as interrupt:
        result = engine.train(plan, each, interrupt.check)
    status = tuple(
        f"diverged at step {result.died[lane]}" if lane in result.died else "ok"
        for lane in range(len(chosen))
    )
    return Run(result.losses, status, engine.strategy, tuple(notes), engine, result)


def _given(
    data: Any,
    steps: int | None,
    epochs: int | None,
    batch_size: int | None,
    drop_last: bool,
    memory: str | int | None,
) -> tuple[Samples | Stream, int | None]:
    """What to train on, and for how many steps; None for until it ends."""
    if is_stream(data):
        return stream_of(data), stream_steps_of(steps, epochs)
    samples = as_samples(data, memory=memory)
    order = BatchOrder(len(samples), batch_size, 0, drop_last=drop_last)
    return samples, steps_of(steps, epochs, order.steps_per_epoch)
