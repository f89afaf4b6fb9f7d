"""Teams: the contenders whose lanes one engine trains."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from talweg.core import UserError, first_line
from talweg.data import BatchOrder, Samples, Splits
from talweg.data.inputs import X
from talweg.diagnose import Beginning, Probe, beginning, blocked_layers
from talweg.lanes import Engine, Plan
from talweg.metrics import Metric
from talweg.models import ModelSource
from talweg.schedules import Span
from talweg.study.contenders import BATCH, SCHEDULE, Contender, Level
from talweg.study.pruning import share_made, stages

FIRST = 256
"""Samples that the gradient at the start is measured on."""
READINGS = 20
"""How many readings a lane gets where its length is given in steps."""

Found = TypeVar("Found")


@dataclass(frozen=True)
class Team:
    """An engine, and the contenders that share its model, activation and batch size.

    Args:
        engine: What trains them.
        contenders: Who they are.
        steps: How many steps each lane makes.
        read_every: Steps between readings; None for an epoch.
    """

    engine: Engine
    contenders: tuple[Contender, ...]
    steps: int
    read_every: int | None = None

    def plan(
        self,
        runs: Sequence[tuple[Contender, float, int]],
        splits: Splits,
        metrics: Sequence[Metric],
        held_out: Sequence[str],
        keep: bool,
        first_lane: int = 0,
    ) -> Plan:
        """What the engine is asked to train.

        Args:
            runs: Contender, learning rate and seed of each lane.
            splits: The prepared data.
            metrics: What is measured besides the loss.
            held_out: The parts that lanes are evaluated on.
            keep: Whether to keep what lanes end with.
            first_lane: The number of the first lane.
        """
        return Plan(
            rules=[each.rule.with_lr(lr) for each, lr, _ in runs],
            seeds=[seed for *_, seed in runs],
            steps=self.steps,
            schedules=[{"lr": each.levels[SCHEDULE].value} for each, *_ in runs],
            evaluate={part: getattr(splits, part) for part in held_out},
            metrics=metrics,
            scale=torch.tensor(splits.target_scale[1]),
            first_lane=first_lane,
            keep=keep,
            read_every=self.read_every,
            probe=Probe(self.begun.sites) if self.begun.sites else None,
        )

    @cached_property
    def begun(self) -> Beginning:
        """What is known of the model before its first step, with the first seed."""
        return self._first(beginning)

    @cached_property
    def blocked(self) -> list[str]:
        """Weights that no gradient reaches; looked for where one is 0 at the start."""
        return self._first(blocked_layers) if 0.0 in self.begun.gradients.values() else []

    def _first(
        self, measure: Callable[[nn.Module, Callable[[Tensor, Tensor], Tensor], X, Tensor], Found]
    ) -> Found:
        """What is measured of the first seed's model on the first samples."""
        engine = self.engine
        x, y = engine.samples.x[:FIRST], engine.samples.y[:FIRST]
        return measure(engine.source.build(0).to(engine.device), engine.loss, x, y)

    def record(self) -> list[dict[str, Any]]:
        """What study.json tells of them; plain values."""
        engine, begun = self.engine, self.begun
        return [
            {
                "name": contender.name,
                "label": contender.label,
                "levels": {factor: level.name for factor, level in contender.levels.items()},
                "model": engine.source.name,
                "parameters": engine.layout.size,
                "gradients": dict(begun.gradients),
                "blocked": self.blocked,
                "layers": [vars(layer) for layer in begun.layers],
                "start": {
                    name: {layer: value for layer, value in own.items() if math.isfinite(value)}
                    for name, own in begun.values.items()
                },
                "batch_size": engine.batch,
                "steps_per_epoch": engine.epoch_steps,
                "steps": self.steps,
                "settings": {**contender.rule.rule.settings, "lr": None},
                "lrs": list(contender.lrs),
            }
            for contender in self.contenders
        ]


def teams_of(
    contenders: Sequence[Contender],
    samples: Samples,
    *,
    source: Callable[[Contender], ModelSource],
    epochs: int | None,
    steps: int | None,
    drop_last: bool,
    seeds: Sequence[int],
    prune: bool,
    say: Callable[[str], None],
    **shared: Any,
) -> list[Team]:
    """An engine for each model, activation and batch size among the contenders.

    Args:
        contenders: All of them.
        samples: What is trained on.
        source: Where a contender's models come from.
        epochs: Passes over the samples; None to go by ``steps``.
        steps: Steps of each lane; None to go by ``epochs``.
        drop_last: Whether an epoch leaves out an incomplete last batch.
        seeds: How many seeds each rate and then each contender gets.
        prune: Whether rates are stopped in tuning.
        say: Told what engines decide.
        shared: What else engines are made with.
    """
    groups = [tuple(group) for _, group in groupby(contenders, key=lambda each: each.engine_key)]
    teams: list[Team] = []
    for group in groups:
        size = group[0].levels[BATCH].value
        order = BatchOrder(len(samples), size, 0, drop_last=drop_last)
        total = steps or (epochs or 0) * order.steps_per_epoch
        for each in group:
            _check_schedule(each.levels[SCHEDULE], Span(total, order.steps_per_epoch))
        tune, final = seeds
        rates = len(group[0].lrs)
        trained = [count for _, count in stages(rates)] if prune else [rates]
        counts = [len(group) * count for count in (*(tune * count for count in trained), final)]
        made = len(group) * (rates * tune * (share_made(rates) if prune else 1) + final)
        engine = Engine(
            source(group[0]),
            samples,
            batch_size=size,
            drop_last=drop_last,
            lane_counts=counts,
            lane_steps=int(made * total),
            say=say if len(groups) == 1 else _by_name(say, group[0]),
            **shared,
        )
        every = None if steps is None else -(-steps // READINGS)
        teams.append(Team(engine, group, total, every))
    return teams


def _by_name(say: Callable[[str], None], contender: Contender) -> Callable[[str], None]:
    name = ", ".join(contender.engine_key)
    return lambda line: say(f"{name}: {line}")


def _check_schedule(level: Level, span: Span) -> None:
    """Complains of a schedule that does not give a rate for every step."""
    steps = torch.linspace(0, span.steps, 50, dtype=torch.float64).floor().view(-1, 1, 1)
    try:
        values = torch.as_tensor(level.value(1.0, steps, span), dtype=torch.float64)
        values = values.expand(len(steps), 1, 1)
    except Exception as error:
        raise UserError(
            f"schedule {level.name!r} fails over {span.steps} steps: {first_line(error)}"
        ) from error
    if not values.isfinite().all():
        raise UserError(f"schedule {level.name!r} gives values that are not finite")
