"""`talweg.compare`: every rule × learning rate × seed at once, by a fair protocol.

Every contender, a rule or a combination of it with a model, an activation, a schedule and a batch
size, gets the same number of learning rates, epochs (or steps) and tuning seeds. The rate is chosen
on the validation part, the chosen setting is trained again on fresh seeds, and its score is taken
on the test part, which nothing before has seen.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from talweg.lanes import Augment, one_interrupt
from talweg.losses import Loss, PerSample
from talweg.metrics import Metric
from talweg.models import Model
from talweg.schedules import Schedule
from talweg.study.asking import Models, OneRule, Rates, Schedules
from talweg.study.folder import RunFolder
from talweg.study.live import Board, Display
from talweg.study.preparing import Prepared, prepare
from talweg.study.record import new_record
from talweg.study.result import Study, load
from talweg.study.runner import Runner

TUNE_SEEDS_FROM = 1000
"""Tuning seeds start here, or past the final ones, which start at 0: no seed is used in both."""


def compare(
    model: Model = "mlp",
    data: Any = "digits",
    rules: OneRule | Sequence[OneRule] | None = None,
    lrs: Rates | Mapping[str, Rates] | None = None,
    seeds: int = 5,
    tune_seeds: int = 2,
    epochs: int | None = None,
    batch_size: int | None = 64,
    loss: str | Loss | PerSample | None = None,
    metric: str | Metric | None = None,
    schedule: str | Schedule | None = None,
    target: str | int | None = None,
    device: str | torch.device | None = None,
    out: str | os.PathLike[str] | None = None,
    progress: bool = True,
    *,
    models: Models | None = None,
    activations: Sequence[str] | None = None,
    schedules: Schedules | None = None,
    batch_sizes: Sequence[int | None] | None = None,
    steps: int | None = None,
    reach: float | None = None,
    hidden: int | Sequence[int] | None = None,
    layers: int | None = None,
    activation: str | None = None,
    strategy: str = "auto",
    kind: str | None = None,
    missing: str | None = None,
    scale: bool = True,
    split_seed: int = 0,
    fractions: Sequence[float] | None = None,
    drop_last: bool = False,
    prune: bool = False,
    memory: str | int | None = None,
    augment: Augment | None = None,
    precision: str | None = None,
) -> Study:
    """Trains every rule × learning rate × seed at once and says which rule wins.

    ``models``, ``activations``, ``schedules`` and ``batch_sizes`` are crossed with the rules: every
    combination is tuned and ranked, and the study says which of these choices decides how much.

    Args:
        model: A callable that returns a module, a module to re-initialise, ``"file.py:name"``, or
            the name of a ready one, such as ``"mlp"`` (``talweg list models``).
        data: ``"digits"``, ``"iris"``, ``"wine"``, ``"breast_cancer"``, ``"diabetes"``; a csv,
            parquet, npz or npy file, or a folder of parquet files; ``(X, y)``; a torch Dataset; or
            `talweg.data.Data`. For models of several inputs, ``((a, b), y)`` or
            ``({"ids": a, "mask": b}, y)``; see `talweg.data.load`.
        rules: Names such as ``"adam"`` or ``"momentum(form=average)"``, or `talweg.rules`
            objects (their ``lr`` is replaced by those of the grid), one or several; None for the
            standard set.
        lrs: Learning rates for all rules, or ``{rule name: rates}``; None for nine over each
            rule's own range. Every rule must get the same number.
        seeds: Fresh seeds that the chosen settings are trained on.
        tune_seeds: Other seeds, that rates are chosen on.
        epochs: Passes over the training part, in both phases; None for 20, unless ``steps`` is
            given.
        batch_size: Samples per batch; None for full-batch descent.
        loss: A name, a function of ``(output, target)``, or None for the usual one.
        metric: What decides: ``"accuracy"``, ``"rmse"``, ``"r2"``, a `Metric`, or None for the
            first of these that fits.
        schedule: Of the learning rate: a schedule, or its name, with options if need be.
        target: For tables, the column to predict.
        device: Where to compute; None for a GPU if there is one.
        out: The run folder; None for ``runs/NAME-DATE-TIME``.
        progress: Whether to show progress on the error stream.
        models: In place of ``model``: ``{name: model}``, or names of ready ones.
        activations: In place of ``activation``: several, for ready models.
        schedules: In place of ``schedule``: several, or ``{name: schedule}``.
        batch_sizes: In place of ``batch_size``: several; None among them for all samples.
        steps: Updates of every run, in place of ``epochs``: equal steps instead of equal passes.
        reach: The target: the validation score whose first reaching is timed. None for 95% of
            the way from the constant prediction to the best score found in tuning.
        hidden: Units of a ready model's hidden layers; None for its own.
        layers: How many hidden layers a ready model has, all of one width.
        activation: A ready model's activation; None for its own.
        strategy: See `talweg.lanes.train`.
        kind: ``"classification"`` or ``"regression"``; None to go by the target.
        missing: ``"median"`` fills gaps in the features, ``"error"`` refuses them; None fills
            them in tables and refuses them in arrays.
        scale: Whether to standardise features and regression targets, fitted on the training part.
        split_seed: Draws the training, validation and test parts.
        fractions: Their shares; None for `talweg.data.split`'s.
        drop_last: Whether an epoch leaves out a last batch that is not full.
        prune: Whether to stop, in tuning, the rates that are behind others of their contender: a
            quarter of tuning's steps is saved, and less is known of the rates that lost. See
            docs/protocol.md.
        memory: A limit such as ``"2G"``, on the whole process while data is read, and on what
            lanes hold and compute with, PyTorch itself not counted; None for 80% of what is free.
            Data beyond it stays on disk (see `talweg.data.load`), lanes beyond it wait for others.
        augment: A function that changes the inputs of training batches at random, or
            ``"file.py:name"`` of one; see `talweg.lanes.train`. It gets inputs as the model does,
            which is scaled, unless ``scale=False``. What is evaluated stays as it is.
        precision: ``"bf16"``, ``"tf32"`` or None; see `talweg.lanes.train`.

    Returns:
        The study. After Ctrl-C it holds what was done by then; see `Study.partial`.

    Raises:
        UserError: For input that cannot be used, in one line, before anything is written.
    """
    prepared = prepare(
        model=model,
        data=data,
        rules=rules,
        lrs=lrs,
        seeds=seeds,
        tune_seeds=tune_seeds,
        epochs=epochs,
        batch_size=batch_size,
        loss=loss,
        metric=metric,
        schedule=schedule,
        target=target,
        device=device,
        models=models,
        activations=activations,
        schedules=schedules,
        batch_sizes=batch_sizes,
        steps=steps,
        reach=reach,
        hidden=hidden,
        layers=layers,
        activation=activation,
        strategy=strategy,
        kind=kind,
        missing=missing,
        scale=scale,
        split_seed=split_seed,
        fractions=fractions,
        drop_last=drop_last,
        prune=prune,
        memory=memory,
        augment=augment,
        precision=precision,
    )
    return run(prepared, out, progress)


def run(prepared: Prepared, out: str | os.PathLike[str] | None, progress: bool) -> Study:
    """Runs a comparison that was prepared; ``out`` and ``progress`` are those of `compare`."""
    splits, teams, log = prepared.splits, prepared.teams, prepared.log
    record = new_record(
        name=prepared.name,
        asked=prepared.asked,
        splits=splits,
        metric=prepared.metrics[0],
        factors=prepared.factors,
        teams=teams,
        reach=prepared.reach,
        log=log.lines,
    )
    folder = RunFolder.create(out, prepared.name, record)
    labels = {each.name: each.label for each in prepared.contenders}
    board = Board(record["task"], labels)
    tune_seeds, seeds = prepared.asked["tune_seeds"], prepared.asked["seeds"]
    lane_steps = sum(
        team.steps * (len(each.lrs) * tune_seeds + seeds)
        for team in teams
        for each in team.contenders
    )
    with one_interrupt() as interrupt:
        with Display(board, record["task"], lane_steps, progress) as display:
            for line in (*splits.notes, *log.lines):
                display.say(line)
            log.listeners.append(display.say)
            runner = Runner(
                teams, splits, prepared.metrics, record, folder, display, interrupt.check
            )
            first = max(TUNE_SEEDS_FROM, seeds)
            runner.run(range(first, first + tune_seeds), range(seeds), prepared.asked["prune"])
        study = load(folder.path)
        study.rules = prepared.rules
        study.report()
    return study
