"""Look-ahead: fast steps, and slow ones toward where they lead."""

from dataclasses import dataclass

from torch import Tensor

from talweg.core import Scalar, Scalars, State, UserError, hyper, switch
from talweg.transforms.base import Transform


@dataclass(frozen=True)
class Lookahead(Transform):
    """After every ``k`` steps of the rule goes back to a share ``α`` of the way.

    Every ``k`` steps: ``s ← s + α·(p − s)``; ``p ← s``. The rule's state goes on as it is.
    Evaluated at ``p``; at the end of a round that is ``s``.

    Args:
        rule: The rule inside.
        every: ``k``, at least 1.
        share: ``α``, above 0 and below 1.

    Source: Zhang, Lucas, Hinton, Ba, "Lookahead optimizer: k steps forward, 1 step back" (2019),
    algorithm 1.
    """

    every: Scalar = hyper(5.0, "steps of a round", at_least=1)
    share: Scalar = hyper(0.5, "share of the way that is kept", above=0, below=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.every, Tensor) and self.every % 1:
            raise UserError(f"every must be a whole number of steps, got {self.every}")

    def init(self, params: Tensor) -> State:
        return {**super().init(params), "lookahead.slow": params.clone()}

    def scalars(self, t: Scalar) -> Scalars:
        ends = t % self.every == 0
        back = switch(ends, 1.0, 0.0)
        more = {
            "lookahead.share": switch(ends, self.share, 0.0),
            "lookahead.back": back,
            "lookahead.stay": 1 - back,
        }
        return {**super().scalars(t), **more}

    def step(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, State]:
        inner = {name: tensor for name, tensor in state.items() if name != "lookahead.slow"}
        params, new = super().step(params, grad, inner, scalars)
        slow = state["lookahead.slow"] + scalars["lookahead.share"] * (
            params - state["lookahead.slow"]
        )
        params = scalars["lookahead.stay"] * params + scalars["lookahead.back"] * slow
        return params, new | {"lookahead.slow": slow}
