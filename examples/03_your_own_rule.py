"""A rule of your own is a frozen dataclass of pure functions; lanes and studies take it as is."""

import tempfile
from dataclasses import dataclass

from torch import Tensor

import talweg
from talweg.core import Rule, Scalar, Scalars, State, hyper


@dataclass(frozen=True)
class SignSGD(Rule):
    """Descent by the gradient's sign: ``p ← p − lr·sign(g)``."""

    lr: Scalar = hyper(1e-3, "learning rate", above=0)

    def init(self, params: Tensor) -> State:
        return {}

    def scalars(self, t: Scalar) -> Scalars:
        return {"lr": self.lr}

    def step(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, State]:
        return params - scalars["lr"] * grad.sign(), state


with tempfile.TemporaryDirectory() as folder:
    study = talweg.compare(
        "mlp", "iris", rules=[SignSGD(), "adam"], lrs=[0.001, 0.01], epochs=10, seeds=2,
        out=f"{folder}/run", progress=False,
    )  # fmt: skip
    print(study)
    assert {row.label for row in study.ranking} == {"SignSGD", "Adam"}
