"""What lanes take of the memory, known before the first step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from talweg.data import Samples
from talweg.lanes.attention import plain_attention
from talweg.lanes.compiling import Compiler
from talweg.lanes.evaluate import ROWS
from talweg.lanes.gradients import Gradients
from talweg.lanes.layout import Layout
from talweg.lanes.measuring import Allocations
from talweg.lanes.plan import Lane, Plan
from talweg.lanes.starts import Start
from talweg.lanes.updates import Group
from talweg.schedules import Span

TRIED = 256
"""Samples that activations are measured on, at most; more take as much again each."""


@dataclass(frozen=True)
class Footprint:
    """What one lane takes, in bytes.

    Attributes:
        parameters: The trainable ones; twice where a rule takes gradients at another point.
        state: Of its rule.
        buffers: Of its model, with frozen parameters.
        results: What is made of the lanes for a reading, and kept of those that end early.
        gradients: The lane's row of gradients.
        activations: The most that a step or a reading needs besides: a batch and what the model
            keeps of it for the backward pass, or what the update computes on the way.
    """

    parameters: int
    state: int
    buffers: int
    results: int
    gradients: int
    activations: int

    @property
    def held(self) -> int:
        """What the lane holds as long as it is trained."""
        return self.parameters + self.state + self.buffers + self.results

    @property
    def in_flight(self) -> int:
        """What it takes besides while it goes through the model."""
        return self.gradients + self.activations


@dataclass(frozen=True)
class Needs:
    """What the lanes of a plan take.

    Args:
        shared: Bytes that all lanes share or leave behind.
        each: Lane → what it takes.
    """

    shared: int
    each: Mapping[int, Footprint]

    def peak(self, lanes: Sequence[Lane], at_once: int) -> int:
        """The most bytes that are taken while lanes are trained together.

        Args:
            lanes: All of them.
            at_once: How many go through the model at the same time, if there are as many.
        """
        prints = [self.each[lane.number] for lane in lanes]
        flying = sorted((each.in_flight for each in prints), reverse=True)[:at_once]
        return self.shared + sum(each.held for each in prints) + sum(flying)

    def largest(self, lanes: Sequence[Lane]) -> Lane:
        """The lane that takes most."""
        return max(lanes, key=lambda lane: self.each[lane.number].held)


class Scales:
    """Weighs the lanes of one engine: by a step and a reading of one lane.

    Args:
        gradients: How losses and gradients are computed.
        layout: The model's layout.
        start: Where a lane begins.
        few: Samples to try; a batch of them at least, or as many as there are to try.
        batch: Samples in a batch.
    """

    def __init__(
        self, gradients: Gradients, layout: Layout, start: Start, few: Samples, batch: int
    ) -> None:
        self._layout = layout
        self._start = start
        self.parameters = start.params.nbytes
        self.buffers = sum(value.nbytes for value in start.rest.values())
        self._updates: dict[object, tuple[int, int, int]] = {}
        at = start.params[None].clone()
        rest = {name: value[None].clone() for name, value in start.rest.items()}
        grads = torch.zeros_like(at)
        gpus = [at.device] if at.device.type == "cuda" else []
        with torch.random.fork_rng(devices=gpus), gradients.ready():
            # A batch counts, as each lane has one of its own.
            with Allocations() as training:
                x, y = few.x[:batch][None].clone(), few.y[:batch][None].clone()
                gradients.stepper(at, rest, grads)(x, y)
            own = few.x[:].clone()  # a model may change it
            with Allocations() as reading, plain_attention():  # fused, it hides what it takes
                outputs = gradients.outputs(at, rest, own)
        self._row = x[0][0].nbytes
        self._training = self._grown(training.peak, batch / y.shape[1])
        self._reading, self._read = reading.peak, len(few)
        self._outputs = 2 * outputs.nbytes / len(few)

    def needs(self, plan: Plan, workers: int) -> Needs:
        """What the lanes of a plan take.

        Args:
            plan: The plan.
            workers: How many chunks go through the model side by side, each through a copy of it.
        """
        rows = min(max((len(held) for held in plan.evaluate.values()), default=0), ROWS)
        copies = len(set(plan.seeds)) + 2 + 2 * workers
        left = len(plan.rules) if plan.keep else 0
        return Needs(
            (copies + left) * (self.parameters + self.buffers) + workers * rows * self._row,
            {lane.number: self._weigh(lane, rows, plan.keep) for lane in plan.lanes},
        )

    def _weigh(self, lane: Lane, rows: int, keep: bool) -> Footprint:
        """What a lane takes that is evaluated on so many rows at a time.

        What is kept of it counts here if it is kept as long as its pack is trained.
        """
        kind = lane.rule.structure
        if kind not in self._updates:
            self._updates[kind] = self._weigh_update(lane)
        state, others, update = self._updates[kind]
        left = 0 if keep else self.parameters + self.buffers
        return Footprint(
            parameters=self.parameters + others,
            state=state,
            buffers=self.buffers,
            results=self.parameters + round(rows * self._outputs) + left,
            gradients=self.parameters,
            activations=max(
                self._training, update, self._grown(self._reading, rows / self._read) if rows else 0
            ),
        )

    def _grown(self, peak: int, times: float) -> int:
        """Bytes for so many times as many samples: all but what is as large as the parameters."""
        of_samples = max(peak - self.parameters, 0)
        return round(peak - of_samples + times * of_samples)

    def _weigh_update(self, lane: Lane) -> tuple[int, int, int]:
        """Bytes of a rule's state, of a second set of parameters, and of what a step computes."""
        at = self._start.params[None].clone()
        shapes = [slot.shape for slot in self._layout.slots]
        group = Group([lane], Span(1, 1), shapes, at, Compiler(False, lambda _: None))
        group.prepare(0, 1, at)
        step = group.stepper(slice(0, 1), at)
        with Allocations() as found:
            step(0, torch.zeros_like(at))
        state = sum(value.nbytes for value in group.state.values())
        return state, 0 if group.params is at else at.nbytes, found.peak
