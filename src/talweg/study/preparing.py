"""A comparison that is ready to run: what it is asked for, checked, and the engines for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from talweg.core import UserError, check_flag, whole_number
from talweg.data import Splits, split
from talweg.data import load as load_data
from talweg.lanes import Augment, Plan, augmentation_of
from talweg.lanes.checks import sizes_of
from talweg.losses import Loss, PerSample
from talweg.metrics import Metric
from talweg.models import MODELS, Model, ModelSource, ready_source, source_of
from talweg.rules import NamedRule
from talweg.schedules import Schedule
from talweg.study import asking
from talweg.study.asking import Models, OneRule, Rates, Schedules
from talweg.study.contenders import (
    ACTIVATION,
    BATCH,
    MODEL,
    RULE,
    SCHEDULE,
    Contender,
    Level,
    cross,
)
from talweg.study.live import Log
from talweg.study.teams import Team, teams_of


@dataclass(frozen=True)
class Prepared:
    """A comparison that is ready to run.

    Args:
        name: The data set's.
        asked: The arguments, as the record has them.
        splits: The prepared data.
        metrics: What is measured besides the loss; the first decides.
        factors: What is varied, or could have been: factor → levels.
        rules: Name → rule.
        teams: The contenders, with the engines that train them.
        reach: The validation score whose first reaching is timed.
        log: What engines say.
    """

    name: str
    asked: dict[str, Any]
    splits: Splits
    metrics: Sequence[Metric]
    factors: Mapping[str, Sequence[Level]]
    rules: dict[str, NamedRule]
    teams: Sequence[Team]
    reach: float | None
    log: Log

    @property
    def contenders(self) -> list[Contender]:
        """All of them."""
        return [each for team in self.teams for each in team.contenders]

    def plans(self, team: Team) -> tuple[Plan, Plan]:
        """What a team's engine will be asked to train, in tuning and then on fresh seeds.

        The rates that tuning will choose are not known: the second has the first of each grid.
        """
        tuned = [
            (each, lr, seed)
            for each in team.contenders
            for lr in each.lrs
            for seed in range(self.asked["tune_seeds"])
        ]
        fresh = [
            (each, each.lrs[0], seed)
            for each in team.contenders
            for seed in range(self.asked["seeds"])
        ]
        tuning = team.plan(tuned, self.splits, self.metrics, ["validation"], keep=False)
        if self.asked["prune"]:
            tuning = replace(tuning, stop=lambda _step: [])
        return tuning, team.plan(
            fresh, self.splits, self.metrics, ["validation", "test"], keep=True
        )


def prepare(
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
) -> Prepared:
    """Checks what is asked for and makes ready to train, without training or writing anything.

    Args: those of `talweg.compare`.

    Raises:
        UserError: For input that cannot be used, in one line.
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
    augmentation = augmentation_of(augment)
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
        memory=memory,
        augment=augmentation,
        precision=precision,
    )
    prepared = Prepared(
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
            "augment": augmentation and augmentation.name,
            "precision": precision,
        },
        splits=splits,
        metrics=metrics,
        factors=factors,
        rules=chosen,
        teams=teams,
        reach=reach,
        log=log,
    )
    for team in teams:
        for plan in prepared.plans(team):
            team.engine.packs(plan)  # complains of a limit that cannot be kept
    return prepared


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
        shape = splits.train.only_input(model).shape[1:]
        _, outputs = sizes_of(splits.train)
        ready = MODELS[model]
        sized = ready.hidden is not None or not among
        formed = ready.activation is not None or not among
        return ready_source(
            model,
            shape,
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
