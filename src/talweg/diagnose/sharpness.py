"""The curvature of a run's losses, and the stability edge that follows."""

import math
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer

from talweg.core import first_line
from talweg.diagnose.backward import hooked
from talweg.diagnose.calls import aside
from talweg.diagnose.measures.bound import CONVOLUTIONS
from talweg.diagnose.measures.curvature import TOLERANCE, flat, hessian, largest
from talweg.diagnose.moment import WHOLE
from talweg.diagnose.rounds import rate_of
from talweg.diagnose.stability import added_curvature, divisors, gain, is_adaptive
from talweg.diagnose.taking import Taking, Values

PRODUCTS = 6
"""Products with the Hessian, at most."""
COSTLY = CONVOLUTIONS
"""Modules with which a product takes as long as three steps: curvature is measured every second
time at most."""
CALM = 0.25
"""Of the stability edge: for every time that the rate is less by this factor, one measurement of
curvature is left out before the next."""
MOST = 3
"""Measurements that are left out in a row, at most."""
CHANCE = 0.1
"""The length of what is drawn, beside a gradient of length 1."""
INSTEAD = "within torch.nn.attention.sdpa_kernel(SDPBackend.MATH) it is"
"""What makes attention twice differentiable."""
ALIGNED = 0.999
"""From which cosine on a gradient was only made shorter since it was taken: clipped."""


class Sharpness:
    """Measures the curvature of a step's first loss, before the loop takes its gradient.

    The curvature is that of the loss times the number of the step's losses: of micro-batches the
    first stands for all. It is never overstated, and with it the edge never understated.

    Args:
        model: The model, without what compiles or spreads it.
        is_compiled: Whether something compiles it.
        named: Its parameters that are trained, by name.
        taking: Takes nothing of what is differentiated here.
        say: Told what cannot be measured.
    """

    def __init__(
        self,
        model: nn.Module,
        is_compiled: bool,
        named: Mapping[str, Tensor],
        taking: Taking,
        say: Callable[[str], None],
    ) -> None:
        self._model = model
        self._named = named
        self._taking = taking
        self._say = say
        self._obstacle = "a compiled model can be differentiated only once" if is_compiled else ""
        self._is_costly = any(isinstance(each, COSTLY) for each in model.modules())
        self._draws = torch.Generator().manual_seed(0)
        self._is_possible = True
        self._left_out = MOST
        self._edge = math.nan
        self._optimizer: Optimizer | None = None
        self._vector: Tensor | None = None
        self._raw: tuple[list[str], Tensor] | None = None
        self._values: Values = {}

    def backward(self, loss: Tensor, optimizer: Optimizer | None) -> None:
        """Before a loss's gradient is taken: measures its curvature, and leaves its graph whole."""
        if not self._is_possible or not bool(loss.isfinite()):
            return
        if self._left_out < self._to_leave_out(optimizer):
            self._left_out += 1
            return
        self._left_out, self._optimizer = 0, optimizer
        obstacle = self._obstacle or hooked(self._model)
        try:
            if not obstacle:
                with aside(self._model), torch.enable_grad(), self._unheard():
                    self._curvature(loss, optimizer)
        except Exception as error:
            obstacle = first_line(error)
        if obstacle:
            self._give_up(obstacle)

    def _to_leave_out(self, optimizer: Optimizer | None) -> int:
        """Measurements between two, by the rate of now: one that rises is looked at more often."""
        share = 0.0 if optimizer is None else rate_of(optimizer) / self._edge
        calm = int(math.log(share, CALM)) if 0 < share < 1 else 0
        return min(max(calm, int(self._is_costly)), MOST)

    def _give_up(self, obstacle: str) -> None:
        self._is_possible = False
        how = f"; {INSTEAD}" if "scaled_dot_product" in obstacle else ""
        self._say(f"the curvature is not measured: {obstacle}{how}")

    @contextmanager
    def _unheard(self) -> Generator[None]:
        self._taking.is_deaf = True
        try:
            yield
        finally:
            self._taking.is_deaf = False

    def _curvature(self, loss: Tensor, optimizer: Optimizer | None) -> None:
        named = dict(self._named)
        if optimizer is not None:
            own = {id(value) for group in optimizer.param_groups for value in group["params"]}
            named = {name: value for name, value in named.items() if id(value) in own}
        params = list(named.values())
        every = torch.autograd.grad(loss, params, create_graph=True, allow_unused=True)
        used = [place for place, grad in enumerate(every) if grad is not None]  # pyright: ignore[reportUnnecessaryComparison]
        if not used:
            return
        params, grads = [params[place] for place in used], [every[place] for place in used]
        gradient = flat(grads)
        self._raw = [list(named)[place] for place in used], gradient
        divided_by = None if optimizer is None else divisors(optimizer, params, grads)
        roots = None if divided_by is None else divided_by.rsqrt()
        start = self._start(gradient if roots is None else gradient * roots)
        if start is None:
            return
        found = largest(hessian(grads, params, roots), start, PRODUCTS, TOLERANCE)
        if not math.isfinite(found.value):
            return
        if found.value == 0:
            raise ArithmeticError("its gradient does not depend on the weights")
        self._vector = found.vector
        self._values["sharpness"] = {WHOLE: found.value}
        self._values["sharpness error"] = {WHOLE: found.error}

    def _start(self, gradient: Tensor) -> Tensor | None:
        """Where the eigenvector is looked for: near the gradient, and where it was last.

        Gradients lie for the most part in the directions of the largest curvature (Gur-Ari, Roberts
        & Dyer, "Gradient descent happens in a tiny subspace", 2018).
        """
        size = float(torch.linalg.vector_norm(gradient))
        if not math.isfinite(size):
            return None
        chance = torch.randn(len(gradient), generator=self._draws).to(gradient)
        start = chance.mul_(CHANCE / torch.linalg.vector_norm(chance))
        if size:
            start.add_(gradient, alpha=1 / size)
        if self._vector is not None and self._vector.shape == gradient.shape:
            start.add_(self._vector)
        return start

    def compare(self, grads: Mapping[str, Tensor]) -> None:
        """Before an update: whether its gradient is the one that was taken, if shorter: clipped.

        Args:
            grads: What the optimizer is about to use, by name.
        """
        if self._raw is None:
            return
        (names, before), self._raw = self._raw, None
        if any(bool(grads[name].any()) for name in grads.keys() - set(names)):
            self._values.clear()
            self._give_up("weights are hidden from it, by a reentrant checkpoint or a second loss")
        if list(grads) != names:
            return
        after = flat(list(grads.values()))
        size, left = (float(torch.linalg.vector_norm(each)) for each in (before, after))
        if 0 < left < 0.99 * size and float(before @ after) >= ALIGNED * size * left:
            self._values["clipped"] = {WHOLE: left / size}

    def finish(self, optimizer: Optimizer, count: int) -> Values:
        """What was measured of a step.

        Args:
            optimizer: What made the step.
            count: The losses it was made of.
        """
        values, self._values, self._raw = self._values, {}, None
        is_elsewhere = is_adaptive(optimizer) and self._optimizer is not optimizer
        if "sharpness" not in values or is_elsewhere:
            return {}
        value = values["sharpness"][WHOLE] * max(count, 1)
        values["sharpness"] = {WHOLE: value}
        own_gain = gain(optimizer)
        if own_gain is None:
            self._say(f"the stability edge of {type(optimizer).__name__} is not known")
        elif value > 0:
            clipped = values.get("clipped", {}).get(WHOLE, 1.0)
            edge = 2 / (own_gain * (clipped * value + added_curvature(optimizer)))
            values["edge"] = {WHOLE: edge}
            self._edge = edge
        return values


def has_begun(optimizer: Optimizer | None) -> bool:
    """Whether an optimizer has what its steps are divided by, if they are: from the second on."""
    if optimizer is None or not is_adaptive(optimizer):
        return True
    state = next(iter(optimizer.state.values()), {"step": 0})
    return float(state.get("step", 1)) > 0
