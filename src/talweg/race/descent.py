"""Many rules descending on one landscape: lanes of one tensor program."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from talweg.core import Rule
from talweg.landscapes import Landscape, LineFit
from talweg.lanes.compiling import Compiler
from talweg.lanes.plan import Lane
from talweg.lanes.updates import Group
from talweg.schedules import Span

FAR = 1e6
"""A point farther away than this has diverged."""


@dataclass(frozen=True)
class Noise:
    """What makes gradients stochastic; all rules of a seed see the same of it.

    Args:
        scale: Standard deviation of what is added to each coordinate.
        batch_size: Samples that a step sees, of a line fit; None for all.
    """

    scale: float = 0.0
    batch_size: int | None = None

    @property
    def is_exact(self) -> bool:
        """Whether there is none."""
        return self.scale == 0 and self.batch_size is None


def paths(
    landscape: Landscape,
    rules: Sequence[Rule],
    seeds: Sequence[int],
    start: Sequence[float],
    steps: int,
    noise: Noise,
    tick: Callable[[int], None],
) -> Tensor:
    """Where each lane is after each step, ``[step, lane, n]``, the start first; float64.

    NaN from the step on at which a lane diverged.

    Args:
        landscape: What they descend on.
        rules: One rule per lane.
        seeds: One per lane: of the noise.
        start: Where all begin.
        steps: Updates.
        noise: Of the gradients.
        tick: Called after each step with 1.
    """
    begin = torch.tensor(start, dtype=torch.float64)
    at = begin.repeat(len(rules), 1)
    groups, order = _groups(rules, at, steps)
    drawn = _Drawn(landscape, [seeds[lane] for lane in order], noise)
    movers = [group.stepper(slice(None), group_at) for group, group_at in groups]
    alive = torch.ones(len(rules), dtype=torch.bool)
    found = torch.full((steps + 1, len(rules), len(begin)), torch.nan, dtype=torch.float64)
    found[0] = begin
    for i in range(steps):
        grads = drawn.gradient(at)
        grads[~alive] = 0.0
        row = 0
        for (_, group_at), move in zip(groups, movers, strict=True):
            move(i, grads[row : row + len(group_at)])
            row += len(group_at)
        now = torch.cat([group.output() if i == steps - 1 else group.params for group, _ in groups])
        alive &= now.isfinite().all(-1) & (now.norm(dim=-1) < FAR)
        parts = alive.split([len(rows) for _, rows in groups])
        for (group, group_at), living in zip(groups, parts, strict=True):
            group_at[~living] = begin  # it goes on to where nobody looks
            group.params[~living] = begin
            for value in group.state.values():
                value[~living] = 0
        found[i + 1, alive] = now[alive]
        tick(1)
    back = torch.empty(len(order), dtype=torch.long)
    back[torch.tensor(order)] = torch.arange(len(order))
    return found[:, back]


def _groups(
    rules: Sequence[Rule], at: Tensor, steps: int
) -> tuple[list[tuple[Group, Tensor]], list[int]]:
    """Lanes by structure, with their rows of ``at``; and which lane each row is."""
    members: dict[object, list[int]] = {}
    for lane, rule in enumerate(rules):
        members.setdefault(rule.structure, []).append(lane)
    groups: list[tuple[Group, Tensor]] = []
    row = 0
    compiler = Compiler(False, lambda _line: None)
    for lanes in members.values():
        rows = at[row : row + len(lanes)]
        chosen = [Lane(lane, rules[lane], 0, {}) for lane in lanes]
        span, shapes = Span(steps, steps), [torch.Size([at.shape[1]])]
        group = Group(chosen, span, shapes, rows, compiler)
        group.prepare(0, steps, rows)
        groups.append((group, rows))
        row += len(lanes)
    return groups, [lane for lanes in members.values() for lane in lanes]


class _Drawn:
    """Gradients of lanes, with the noise of each lane's seed.

    Args:
        landscape: What is descended on.
        seeds: One per lane.
        noise: Of the gradients.
    """

    def __init__(self, landscape: Landscape, seeds: Sequence[int], noise: Noise) -> None:
        self._landscape, self._noise = landscape, noise
        self._draws = {seed: torch.Generator().manual_seed(seed) for seed in seeds}
        self._of = {seed: [i for i, one in enumerate(seeds) if one == seed] for seed in self._draws}

    def gradient(self, at: Tensor) -> Tensor:
        """At the points ``[lane, n]`` of the next step, ``[lane, n]``."""
        if self._noise.batch_size is None:
            grads = self._landscape.gradient(at)
        else:
            grads = torch.empty_like(at)
            for seed, lanes in self._of.items():
                grads[lanes] = self._on_batch(at[lanes], seed)
        if self._noise.scale:
            for seed, lanes in self._of.items():
                drawn = torch.randn(at.shape[1], generator=self._draws[seed], dtype=at.dtype)
                grads[lanes] += self._noise.scale * drawn
        return grads

    def _on_batch(self, at: Tensor, seed: int) -> Tensor:
        line = self._landscape.function
        assert isinstance(line, LineFit)
        assert self._noise.batch_size is not None
        draw = self._draws[seed]
        chosen = torch.randperm(len(line.x), generator=draw)[: self._noise.batch_size]
        points = at.clone().requires_grad_()
        values = line.on(points, line.x[chosen], line.y[chosen])
        (found,) = torch.autograd.grad(values.sum(), points)
        return found
