"""`talweg.compare`: every rule × learning rate × seed at once, by a fair protocol.

Every contender, a rule or a combination of it with a model, an activation, a schedule and a batch
size, gets the same number of learning rates, epochs (or steps) and tuning seeds. The rate is chosen
on the validation part, the chosen setting is trained again on fresh seeds, and its score is taken
on the test part, which nothing before has seen.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from talweg.core import UserError, check_flag, whole_number
from talweg.data import Splits, split
from talweg.data import load as load_data
from talweg.lanes import one_interrupt
from talweg.lanes.checks import sizes_of
from talweg.losses import Loss, PerSample
from talweg.metrics import Metric
from talweg.models import MODELS, Model, ModelSource, ready_source, source_of
from talweg.schedules import Schedule
from talweg.study import asking
from talweg.study.asking import Models, OneRule, Rates, Schedules
from talweg.study.contenders import ACTIVATION, BATCH, MODEL, RULE, SCHEDULE, Contender, cross
from talweg.study.folder import RunFolder
from talweg.study.live import Board, Display, Log
from talweg.study.record import new_record
from talweg.study.result import Study, load
from talweg.study.runner import Runner
from talweg.study.teams import teams_of

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
) -> Study:
    """Trains every rule × learning rate × seed at once and says which rule wins.

    ``models``, ``activations``, ``schedules`` and ``batch_sizes`` are crossed with the rules: every
    combination is tuned and ranked, and the study says which of these choices decides how much.

    Args:
        model: A callable that returns a module, a module to re-initialise, ``"file.py:name"``, or
            the name of a ready one, such as ``"mlp"`` (``talweg list models``).
        data: ``"digits"``, ``"iris"``, ``"wine"``, ``"breast_cancer"``, ``"diabetes"``; a csv,
            parquet, npz or npy file, or a folder of parquet files; ``(X, y)``; a torch Dataset; or
            `talweg.data.Data`.
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
        memory: What the process may take in all, such as ``"2G"``; None for 80% of what is free.
            Tables that do not fit are read from disk batch by batch; see `talweg.data.load`.

    Returns:
        The study. After Ctrl-C it holds what was done by then; see `Study.partial`.

    Raises:
        UserError: For input that cannot be used, in one line, before anything is written.
    """
    seeds = whole_number("seeds", seeds)
    tune_seeds = whole_number("tune_seeds", tune_seeds)
    epochs, steps = asking.length_of(epochs, steps)
    split_seed = whole_number("split_seed", split_seed, at_least=0)
    check_flag("scale", scale)
    check_flag("drop_last", drop_last)
    check_flag("prune", prune)
    if isinstance(target, float):
        raise UserError(
            f"target is the column to predict; for a score to reach, pass reach={target}"
        )
    rule_levels = asking.rule_levels(rules)
    chosen = {level.name: level.value for level in rule_levels}
    grids = asking.grids_of(list(chosen.values()), lrs)
    schedule_levels = asking.schedule_levels(schedule, schedules)
    model_levels = asking.model_levels(model, models)
    activation_levels = asking.activation_levels(activation, activations)
    loaded = load_data(data, target=target, kind=kind, missing=missing, memory=memory)
    splits = split(loaded, seed=split_seed, scale=scale, fractions=fractions)
    name = loaded.name
    del loaded  # what was split is not needed any more, and may be most of the memory
    metrics = asking.metrics_to_take(metric, splits.kind)
    asking.check_scores(metrics[0], splits)
    reach = asking.reach_of(reach, metrics[0])
    factors = {
        MODEL: model_levels,
        **({} if activation_levels is None else {ACTIVATION: activation_levels}),
        BATCH: asking.batch_levels(batch_size, batch_sizes, len(splits.train)),
        SCHEDULE: schedule_levels,
        RULE: rule_levels,
    }
    contenders = cross(factors, grids)
    units = asking.units_of(hidden)
    among = len(model_levels) > 1
    layers = None if layers is None else whole_number("layers", layers)
    asking.check_crossing(model_levels, activation_levels, units, layers)
    log = Log()
    teams = teams_of(
        contenders,
        splits.train,
        source=lambda contender: _source(contender, splits, units, layers, among),
        epochs=epochs,
        steps=steps,
        drop_last=drop_last,
        seeds=(tune_seeds, seeds),
        prune=prune,
        say=log,
        loss=asking.loss_of(loss, splits.kind),
        strategy=strategy,
        device=device,
        compiled=None,
    )
    record = new_record(
        name=name,
        asked={
            "data": name,
            **{_plural(factor): [level.name for level in factors[factor]] for factor in factors},
            "hidden": units,
            "layers": layers,
            "seeds": seeds,
            "tune_seeds": tune_seeds,
            "epochs": epochs,
            "steps": steps,
            "target": target,
            "reach": reach,
            "strategy": strategy,
            "scale": scale,
            "split_seed": split_seed,
            "fractions": None if fractions is None else [float(share) for share in fractions],
            "drop_last": drop_last,
            "prune": prune,
            "memory": memory,
        },
        splits=splits,
        metric=metrics[0],
        factors=factors,
        teams=teams,
        reach=reach,
        log=log.lines,
    )
    folder = RunFolder.create(out, name, record)
    board = Board(record["task"], {each.name: each.label for each in contenders})
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
            runner = Runner(teams, splits, metrics, record, folder, display, interrupt.check)
            first = max(TUNE_SEEDS_FROM, seeds)
            runner.run(range(first, first + tune_seeds), range(seeds), prune)
        study = load(folder.path)
        study.rules = chosen
        study.report()
    return study


def _plural(factor: str) -> str:
    return factor.replace(" ", "_") + "s"


def _source(
    contender: Contender,
    splits: Splits,
    hidden: Sequence[int] | None,
    layers: int | None,
    among: bool,
) -> ModelSource:
    """Where a contender's models come from.

    Args:
        contender: The contender.
        splits: What they are fitted to.
        hidden: Units of hidden layers.
        layers: How many there are.
        among: Whether there are other models, which sizes and activation may be meant for.
    """
    model = contender.levels[MODEL].value
    activation = contender.levels[ACTIVATION].value if ACTIVATION in contender.levels else None
    if isinstance(model, str) and ":" not in model and not model.endswith(".py"):
        _, outputs = sizes_of(splits.train)
        ready = MODELS[model]
        sized = ready.hidden is not None or not among
        formed = ready.activation is not None or not among
        return ready_source(
            model,
            splits.train.x.shape[1:],
            max(outputs, len(splits.classes)),
            splits.kind,
            hidden=hidden if sized else None,
            activation=activation if formed else None,
            layers=layers if sized else None,
        )
    for name, value in (("hidden", hidden), ("layers", layers), ("activation", activation)):
        if value is not None:
            ready = ", ".join(MODELS)
            raise UserError(f"{name} shapes a ready model ({ready}) and cannot change your own")
    source = source_of(model)
    return replace(source, name=contender.levels[MODEL].name) if among else source
