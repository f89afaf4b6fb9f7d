"""Rules of somebody's own, with steps and states that no rule of talweg has."""

# ruff: noqa: ARG002, ARG005

from dataclasses import dataclass

import pytest
import torch
from tests.optim.test_passes import compiled, weights  # noqa: F401 - a fixture

from talweg import optim
from talweg.core import Rule, hyper, option

WHICH = ("sum", "norm", "none", "all", "bounds", "dtype", "alpha", "mask")


@dataclass(frozen=True)
class Odd(Rule):
    """A rule of somebody's own, whose step is one of `ODD`."""

    lr: float = hyper(0.1, "rate", above=0)
    which: str = option(
        "sum", "which", ("sum", "norm", "none", "all", "bounds", "dtype", "alpha", "mask")
    )

    def init(self, params):
        return {}

    def scalars(self, t):
        return {"lr": self.lr}

    def step(self, params, grad, state, scalars):
        return params - scalars["lr"] * ODD[self.which](params, grad), state

    @property
    def is_per_tensor(self):
        return True


ODD = {
    "sum": lambda p, g: g - (g.sum() * p.mean()).sum().norm(),
    "norm": lambda p, g: g * g.sum().norm(),
    "none": lambda p, g: g - g.mean(dim=None, keepdim=True),
    "all": lambda p, g: g - p.sum(dim=[]),
    "bounds": lambda p, g: g.clamp(-g.mean(), g.mean()),
    "dtype": lambda p, g: g - 0.1 * g.sum(dtype=torch.int64),
    "alpha": lambda p, g: torch.rsub(g, 1, alpha=3),
    "mask": lambda p, g: (
        g * ((g.sum(-1, keepdim=True) > 0) + (p.sum(-1, keepdim=True) > -9)) if g.ndim else g
    ),
}


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("which", ODD)
def test_what_a_rule_of_ones_own_may_do(which):
    found = []
    for wanted in (False, True):
        optim.use_compiler(wanted)
        params = [param for param in weights(torch.float64) if param.numel()]
        optimizer = optim.OfRule(params, Odd(which=which))
        for _ in range(3):
            optimizer.step()
        found.append(params)
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@dataclass(frozen=True)
class Keeping(Rule):
    """A rule of somebody's own that keeps states of other dtypes and hands states on."""

    lr: float = hyper(0.1, "rate", above=0)
    whole: bool = option(True, "whole tensors")

    def init(self, params):
        zero = torch.zeros_like(params)
        rows = zero.sum(-1, keepdim=True) if params.ndim else zero
        kept = {"seen": zero > 1, "count": zero.long(), "same": zero, "also": zero}
        wide = {"wide": zero.double(), "spread": params.new_zeros(()).expand_as(params)}
        return kept | wide | ({"rows": rows, "before": rows} if self.whole else {})

    def scalars(self, t):
        return {"lr": self.lr}

    def step(self, params, grad, state, scalars):
        move = torch.where(state["seen"], grad, -grad) * (1 + state["count"])
        new = {
            "seen": grad > 0,
            "count": state["count"] + 1,
            "same": state["same"] + grad,
            "also": state["also"] - grad,
            "wide": state["wide"] + grad * grad,
            "spread": state["spread"] + 1,
        }
        if self.whole:
            mean = grad.mean(-1, keepdim=True) if grad.ndim else grad
            new |= {"rows": state["rows"] + mean, "before": state["rows"]}
        return params - scalars["lr"] * (move + new["same"] + new["spread"]), new

    @property
    def is_per_tensor(self):
        return self.whole


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("whole", [True, False])
def test_states_of_other_dtypes_and_states_that_are_handed_on(whole):
    for wanted in (False, True):
        optim.use_compiler(wanted)
        params = [param for param in weights(torch.float32) if param.numel()]
        starts = [param.detach().clone() for param in params]
        rule = Keeping(whole=whole)
        optimizer = optim.OfRule(params, rule)
        for _ in range(4):
            optimizer.step()
        for param, start in zip(params, starts, strict=True):
            state = rule.init(start)
            for _ in range(4):
                start, state = rule.step(start, param.grad, state, {"lr": 0.1})
            torch.testing.assert_close(param.detach(), start, rtol=1e-5, atol=1e-5)
            for name, value in state.items():
                assert optimizer.state[param][name].dtype == value.dtype
                torch.testing.assert_close(
                    optimizer.state[param][name], value, rtol=1e-5, atol=1e-5
                )


@dataclass(frozen=True)
class Shared(Rule):
    """A rule of somebody's own that begins all its states with one tensor."""

    lr: float = hyper(0.1, "rate", above=0)

    def init(self, params):
        zero = torch.zeros_like(params)
        return {"m": zero, "r": zero, "p0": params}

    def scalars(self, t):
        return {"lr": self.lr}

    def step(self, params, grad, state, scalars):
        m, r = state["m"] + grad, state["r"] - grad
        return params - scalars["lr"] * (m - grad.mean() * r + state["p0"]), {
            **state,
            "m": m,
            "r": r,
        }

    @property
    def is_per_tensor(self):
        return True


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("wanted", [False, True])
def test_states_that_begin_as_one_tensor(wanted):
    optim.use_compiler(wanted)
    params = [param for param in weights(torch.float64) if param.numel()]
    starts = [param.detach().clone() for param in params]
    optimizer = optim.OfRule(params, Shared())
    for _ in range(3):
        optimizer.step()
    for param, start in zip(params, starts, strict=True):
        state = Shared().init(start)
        for _ in range(3):
            start, state = Shared().step(start, param.grad, state, {"lr": 0.1})
        torch.testing.assert_close(param.detach(), start, rtol=1e-12, atol=1e-12)
