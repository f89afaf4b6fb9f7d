"""Rules that need whole tensors, on rows that hold a model's parameters one after another."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from talweg.core import Rule, Scalars, State
from talweg.transforms.base import Transform


def on_rows(rule: Rule, shapes: Sequence[torch.Size]) -> Rule:
    """The rule on rows ``[lane, n]``, each a model's parameters one after another.

    Args:
        rule: One rule, or many of one structure as `stack` makes them.
        shapes: The parameters' shapes.
    """
    if rule.is_per_tensor:
        return OnTensors(rule, shapes=tuple(shapes))
    if rule.gathers:
        return OnTensors(rule, shapes=(torch.Size([sum(shape.numel() for shape in shapes)]),))
    return rule


@dataclass(frozen=True)
class OnTensors(Transform):
    """The rule on each of the tensors that lie one after another in each row of ``[lane, n]``.

    What it `gathers` is summed over a row's tensors. Its states are those of each tensor, by the
    tensor's number: ``"0.m"``, ``"1.m"``.

    Args:
        rule: The rule inside.
        shapes: The tensors' shapes.
    """

    shapes: tuple[torch.Size, ...] = field(default=(), metadata={"kind": "layout"})

    @property
    def structure(self) -> tuple[Any, ...]:
        return (*super().structure, self.shapes)

    def init(self, params: Tensor) -> State:
        own = {name: x for name, x in self.rule.hypers.items() if isinstance(x, Tensor)}
        return {name: x.clone() for name, x in _by_row(self._row_init, own, params).items()}

    def _row_init(self, hypers: Scalars, row: Tensor) -> State:
        rule = self.rule.moved(**hypers)
        return self._numbered([rule.init(piece) for piece in self._pieces(row)])

    def step(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, State]:
        return _by_row(self._row_step, scalars, params, grad, state)

    def _row_step(
        self, scalars: Scalars, params: Tensor, grad: Tensor, state: State
    ) -> tuple[Tensor, State]:
        parts = self._pieces(params), self._pieces(grad), self._held(state)
        pieces = list(zip(*parts, strict=True))
        if self.rule.gathers:
            shares = [self.rule.sums(*piece, scalars) for piece in pieces]
            totals = {name: sum(share[name] for share in shares) for name in shares[0]}
            scalars = {**scalars, **totals}
        stepped = [self.rule.step(*piece, scalars) for piece in pieces]
        return _joined([new for new, _ in stepped]), self._numbered([held for _, held in stepped])

    def sums(self, params: Tensor, grad: Tensor, state: State, scalars: Scalars) -> Scalars:
        return {}

    def probe(self, params: Tensor, state: State, scalars: Scalars) -> Tensor:
        return _by_row(self._row_probe, scalars, params, state)

    def _row_probe(self, scalars: Scalars, params: Tensor, state: State) -> Tensor:
        pieces = zip(self._pieces(params), self._held(state), strict=True)
        return _joined([self.rule.probe(piece, held, scalars) for piece, held in pieces])

    def output(self, params: Tensor, state: State, scalars: Scalars) -> Tensor:
        return _by_row(self._row_output, scalars, params, state)

    def _row_output(self, scalars: Scalars, params: Tensor, state: State) -> Tensor:
        pieces = zip(self._pieces(params), self._held(state), strict=True)
        return _joined([self.rule.output(piece, held, scalars) for piece, held in pieces])

    def _pieces(self, row: Tensor) -> list[Tensor]:
        parts = row.split([shape.numel() for shape in self.shapes])
        return [part.view(shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def _held(self, state: State) -> list[State]:
        held: list[State] = [{} for _ in self.shapes]
        for key, value in state.items():
            number, _, name = key.partition(".")
            held[int(number)][name] = value
        return held

    @staticmethod
    def _numbered(states: Sequence[State]) -> State:
        return {f"{i}.{name}": x for i, state in enumerate(states) for name, x in state.items()}

    @property
    def is_per_tensor(self) -> bool:
        return False

    @property
    def gathers(self) -> bool:
        return False


def _by_row(function: Callable[..., Any], scalars: Scalars, *rows: Any) -> Any:
    """A function of a row's scalars, parameters and more, on all rows."""
    numbers = {name: x.reshape(-1) if isinstance(x, Tensor) else x for name, x in scalars.items()}
    shared = {n: x[0] for n, x in numbers.items() if isinstance(x, Tensor) and len(x) == 1}
    numbers = {**numbers, **shared}
    depths = {n: 0 if isinstance(x, Tensor) and x.ndim else None for n, x in numbers.items()}
    return torch.vmap(function, in_dims=(depths, *[0] * len(rows)))(numbers, *rows)


def _joined(pieces: Sequence[Tensor]) -> Tensor:
    return torch.cat([piece.reshape(-1) for piece in pieces])
