"""Averages of the path: exponential, and of all points alike."""

from dataclasses import dataclass

from torch import Tensor

from talweg.core import Scalar, Scalars, State, hyper, option, switch
from talweg.transforms.base import Transform


@dataclass(frozen=True)
class WeightAverage(Transform):
    """Evaluates an average of the parameters instead of the last ones.

    ``x`` is ``p`` for the first ``start`` steps and one more; then
    ``kind="exponential"``: ``x ← d·x + (1−d)·p``
    ``kind="equal"``: ``x ← x + (p − x)/(n + 1)`` after ``n`` points: stochastic weight averaging.

    Training goes on from ``p``. Averages of batch-normalisation statistics are the model's affair.

    Args:
        rule: The rule inside.
        decay: ``d``, at least 0 and below 1; without effect with ``kind="equal"``.
        start: Steps before averaging begins, at least 0.
        kind: ``"exponential"`` or ``"equal"``.

    Source: Polyak and Juditsky (1992); Izmailov et al., "Averaging weights leads to wider optima
    and better generalization" (2018); `torch.optim.swa_utils.AveragedModel`.
    """

    decay: Scalar = hyper(0.999, "share of the average that is kept", at_least=0, below=1)
    start: Scalar = hyper(0.0, "steps before averaging begins", at_least=0)
    kind: str = option("exponential", "kind of average", ("exponential", "equal"))

    def init(self, params: Tensor) -> State:
        return {**super().init(params), "average.x": params.clone()}

    def scalars(self, t: Scalar) -> Scalars:
        points = t - self.start  # with this one
        usual = 1 - self.decay
        if self.kind == "equal":
            usual = 1 / switch(points > 1, points, 1.0)
        new = switch(points > 1, usual, 1.0)
        return {**super().scalars(t), "average.new": new, "average.kept": 1 - new}

    def step(
        self, params: Tensor, grad: Tensor, state: State, scalars: Scalars
    ) -> tuple[Tensor, State]:
        average = state["average.x"]
        inner = {name: tensor for name, tensor in state.items() if name != "average.x"}
        params, new = super().step(params, grad, inner, scalars)
        # With a share of 1 this is p to the last bit.
        average = scalars["average.new"] * params + scalars["average.kept"] * average
        return params, new | {"average.x": average}

    def output(self, params: Tensor, state: State, scalars: Scalars) -> Tensor:
        """The average."""
        return state["average.x"]
