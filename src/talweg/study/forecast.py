"""What a comparison will train, what it will take of the memory, and about how long."""

from dataclasses import dataclass, replace
from datetime import timedelta

from talweg.core import counted, in_bytes
from talweg.lanes import Footprint, pace_of
from talweg.study.preparing import Prepared
from talweg.study.pruning import share_made
from talweg.study.teams import Team

COMPILED = 4
"""How many times as fast compiled steps may be as those that are timed."""
SPREAD = 1.3
"""How many times as long as a few steps say the same steps may take later."""


@dataclass(frozen=True)
class Part:
    """What one engine trains in a comparison.

    Attributes:
        model: Its name.
        parameters: How many it has.
        batch_size: Samples in a batch.
        steps: Of each lane.
        strategy: ``"stacked"`` or ``"serial"``.
        compiled: Whether steps will be compiled.
        tuned: Lanes in tuning.
        fresh: Lanes on fresh seeds.
        each: What the lane that takes most of the memory takes, in bytes.
        at_a_time: Lanes that are held at a time.
        peak: Bytes that they take, with what all lanes share.
        allowed: Bytes that they may take.
        seconds: How long it takes, from and to.
    """

    model: str
    parameters: int
    batch_size: int
    steps: int
    strategy: str
    compiled: bool
    tuned: int
    fresh: int
    each: Footprint
    at_a_time: int
    peak: int
    allowed: int
    seconds: tuple[float, float]


@dataclass(frozen=True)
class Forecast:
    """What a comparison will do; printing it tells.

    Attributes:
        contenders: How many.
        rates: Learning rates of each.
        tune_seeds: Seeds that each rate is trained on.
        seeds: Fresh seeds.
        parts: What each engine trains: one for each model, activation and batch size.
        log: What was decided, one sentence each.
    """

    contenders: int
    rates: int
    tune_seeds: int
    seeds: int
    parts: tuple[Part, ...]
    log: tuple[str, ...]

    @property
    def seconds(self) -> tuple[float, float]:
        """How long it takes, from and to."""
        low, high = zip(*(part.seconds for part in self.parts), strict=True)
        return sum(low), sum(high)

    @property
    def sentences(self) -> list[str]:
        """All but what each engine takes."""
        tuned, fresh = (
            counted(sum(lanes), "lane")
            for lanes in zip(*((part.tuned, part.fresh) for part in self.parts), strict=True)
        )
        contenders = counted(self.contenders, "contender")
        low, high = map(_in_words, self.seconds)
        how = "steps of a few lanes, timed here"
        if any(part.compiled for part in self.parts):
            how += f" uncompiled; compiled ones are up to {COMPILED} times as fast"
        return [
            f"tuning: {contenders} × {counted(self.rates, 'rate')} × "
            f"{counted(self.tune_seeds, 'seed')}: {tuned}",
            f"then: {contenders} × {counted(self.seeds, 'fresh seed')}: {fresh}",
            *self.log,
            f"time: about {low} to {high} ({how}; lanes that diverge take less)",
        ]

    def __str__(self) -> str:
        parts = [
            f"{part.model}, batches of {part.batch_size}: {part.parameters:,} parameters, "
            f"{counted(part.steps, 'step')} a lane, {part.strategy}; {part.at_a_time} lanes at a "
            f"time take {in_bytes(part.peak)} of {in_bytes(part.allowed)}"
            for part in self.parts
        ]
        return "\n".join([*parts, *self.sentences])


def forecast(prepared: Prepared) -> Forecast:
    """What a comparison that was prepared will do, from weighing and timing a few lanes of it."""
    asked = prepared.asked
    return Forecast(
        contenders=len(prepared.contenders),
        rates=len(prepared.contenders[0].lrs),
        tune_seeds=asked["tune_seeds"],
        seeds=asked["seeds"],
        parts=tuple(_part(prepared, team) for team in prepared.teams),
        log=(*prepared.splits.notes, *prepared.log.lines),
    )


def _part(prepared: Prepared, team: Team) -> Part:
    engine = team.engine
    tuning, fresh = prepared.plans(team)
    packs = max((engine.packs(plan) for plan in (tuning, fresh)), key=lambda packs: packs.peak)
    needs = engine.needs(tuning)
    pace = pace_of(engine, replace(tuning, evaluate=fresh.evaluate))
    rates = len(team.contenders[0].lrs)
    share = share_made(rates) if prepared.asked["prune"] else 1
    lanes = len(tuning.rules) * share + len(fresh.rules)
    every = team.read_every or engine.epoch_steps or team.steps
    reading = lanes * (-(-team.steps // every) + 1) * pace.reading
    stepping = lanes * team.steps * pace.step
    low = stepping / COMPILED if engine.compiles else stepping / SPREAD
    return Part(
        model=engine.source.name,
        parameters=engine.layout.size,
        batch_size=engine.batch,
        steps=team.steps,
        strategy=engine.strategy,
        compiled=engine.compiles,
        tuned=len(tuning.rules),
        fresh=len(fresh.rules),
        each=needs.each[needs.largest(tuning.lanes).number],
        at_a_time=max(packs.sizes),
        peak=packs.peak,
        allowed=packs.limit,
        seconds=(low + reading / SPREAD, (stepping + reading) * SPREAD),
    )


def _in_words(seconds: float) -> str:
    """A time.

    >>> _in_words(0.3), _in_words(75), _in_words(5000), _in_words(200_000)
    ('1 s', '75 s', '83 min', '2 days, 8 h')
    """
    if seconds < 100:
        return f"{max(round(seconds), 1)} s"
    if seconds < 6000:
        return f"{round(seconds / 60)} min"
    hours = round(seconds / 3600)
    if hours < 48:
        return f"{hours} h"
    days = timedelta(hours=hours)
    return f"{days.days} days, {days.seconds // 3600} h"
