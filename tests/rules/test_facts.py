"""Facts about the rules that hold on paper, and the mistakes about them that circulate."""

import math

import numpy as np
import pytest
import torch

from talweg.core import Rule
from talweg.rules import SGD, AdaGrad, Adam, Momentum, Nesterov, RMSProp

from .cases import START, on_tensors, rule_run, valley_gradient

CONSTANT = np.array([-3.0, 0.02, 1.0])


def under(rule: Rule, gradients: np.ndarray) -> np.ndarray:
    """The changes ``[step, coordinate]`` that given gradients cause, starting at 0."""
    params = torch.zeros(gradients.shape[1], dtype=torch.float64)
    state, changes = rule.init(params), []
    for t, grad in enumerate(torch.from_numpy(gradients), start=1):
        new, state = rule.step(params, grad, state, rule.scalars(t))
        changes.append((new - params).numpy())
        params = new
    return np.array(changes)


def constant(steps: int) -> np.ndarray:
    return np.tile(CONSTANT, (steps, 1))


@pytest.mark.parametrize("a", [0.0, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("kind", [Momentum, Nesterov])
def test_momentum_speeds_up_by_one_over_one_minus_a(kind, a: float):
    """Under a constant gradient the velocity tends to ``−lr·g/(1−a)``, from below."""
    changes = under(kind(lr=0.1, momentum=a), constant(3000))
    limit = -0.1 * CONSTANT / (1 - a)
    np.testing.assert_allclose(changes[-1], limit, rtol=1e-11)
    assert (np.abs(changes) <= np.abs(limit) * (1 + 1e-12)).all()
    np.testing.assert_allclose(changes[0], -0.1 * CONSTANT, rtol=1e-15)


def test_average_form_does_not_speed_up():
    changes = under(Momentum(lr=0.1, momentum=0.9, form="average"), constant(400))
    np.testing.assert_allclose(changes[-1], -0.1 * CONSTANT, rtol=1e-11)


def test_nesterov_on_a_parabola_by_hand():
    """``f = p²/2``, so the gradient is the point itself."""
    rule = Nesterov(lr=0.1, momentum=0.5)
    path = rule_run([rule] * 2, lambda point: point, torch.tensor([1.0], dtype=torch.float64))
    assert path[0].item() == pytest.approx(1 - 0.1)
    look_ahead = 0.9 + 0.5 * -0.1
    assert path[1].item() == pytest.approx(0.9 + 0.5 * -0.1 - 0.1 * look_ahead)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_adam_takes_lr_in_every_coordinate_under_a_constant_gradient(dtype):
    """In float32 too: the bias corrections lose no digits to ``1 − 0.999``."""
    rule, start = Adam(lr=0.5, eps=1e-30), torch.zeros(3, dtype=dtype)
    path = rule_run([rule] * 200, lambda _: torch.from_numpy(CONSTANT).to(dtype), start)
    expected = -0.5 * torch.arange(1, 201, dtype=dtype)[:, None] * torch.tensor(CONSTANT).sign()
    torch.testing.assert_close(
        torch.stack(path), expected.to(dtype), rtol=200 * torch.finfo(dtype).eps, atol=0
    )


def adam_bound(b1: float, b2: float) -> float:
    """The largest ``|Δp|/lr``: the paper's ``(1−b1)/√(1−b2)`` times a factor it leaves out.

    By Cauchy and Schwarz ``(Σ b1^k g_k)² ≤ Σ (b1²/b2)^k · Σ b2^k g_k²``, for ``b1² < b2``.
    """
    return (1 - b1) / math.sqrt((1 - b2) * (1 - b1 * b1 / b2))


@pytest.mark.parametrize("b2", [0.9, 0.99, 0.999])
@pytest.mark.parametrize("b1", [0.0, 0.5, 0.9])
def test_adam_steps_are_bounded(b1: float, b2: float):
    generator = np.random.default_rng(0)
    steps = 3000
    alone = np.zeros(steps)
    alone[-1] = 1.0
    growing = np.zeros(steps)
    growing[-100:] = (b2 / max(b1, 0.5)) ** np.arange(100.0)
    heavy = generator.standard_t(df=1, size=(steps, 5))
    gradients = np.column_stack([alone, growing, heavy])
    rule = Adam(lr=0.1, beta1=b1, beta2=b2, eps=1e-300)
    assert np.abs(under(rule, gradients)).max() <= 0.1 * adam_bound(b1, b2) * (1 + 1e-9)


def test_adam_exceeds_the_bound_of_its_paper_where_gradients_grow():
    """The paper's bound holds for a gradient alone among zeros; growing ones go beyond it."""
    paper = (1 - 0.9) / math.sqrt(1 - 0.999)
    gradients = np.zeros((10_000, 2))
    gradients[-1, 0] = 1.0
    gradients[-100:, 1] = (0.999 / 0.9) ** np.arange(100.0)
    alone, growing = np.abs(under(Adam(lr=1.0, eps=1e-300), gradients)[-1])
    assert alone == pytest.approx(paper, rel=1e-4)
    assert growing == pytest.approx(adam_bound(0.9, 0.999), rel=1e-4)
    assert growing > 2 * paper


def test_adagrad_counts_the_current_gradient():
    """The first step is ``lr·sign(g)`` and the t-th under a constant gradient ``lr/√t``."""
    changes = under(AdaGrad(lr=0.1, eps=1e-30), constant(50))
    steps = np.arange(1, 51)[:, None]
    np.testing.assert_allclose(changes, -0.1 * np.sign(CONSTANT) / np.sqrt(steps), rtol=1e-13)


def test_rmsprop_tends_to_lr_under_a_constant_gradient():
    changes = under(RMSProp(lr=0.1, eps=1e-30), constant(400))
    np.testing.assert_allclose(changes[0], -0.1 * np.sign(CONSTANT) / np.sqrt(0.1), rtol=1e-13)
    np.testing.assert_allclose(changes[-1], -0.1 * np.sign(CONSTANT), rtol=1e-13)


@pytest.mark.parametrize("kind", [AdaGrad, RMSProp, Adam])
def test_eps_is_inside_the_root_or_outside(kind):
    """With ``eps`` far above the squared gradient, the two differ by a root of it."""
    grad = np.full((1, 1), 1e-6)
    outside = under(kind(lr=1.0, eps=0.01), grad)
    inside = under(kind(lr=1.0, eps=0.01, eps_inside=True), grad)
    assert outside[0, 0] / inside[0, 0] == pytest.approx(1 / math.sqrt(0.01), rel=1e-3)


@pytest.mark.parametrize("eps_inside", [False, True])
def test_centered_rmsprop_survives_a_constant_gradient(eps_inside: bool):
    """``r − c²`` tends to 0 and rounding takes it below, where its root would be NaN."""
    rule = RMSProp(lr=1e-3, centered=True, eps_inside=eps_inside)
    grad = torch.linspace(1, 1000, 101)
    path = rule_run([rule] * 400, lambda _: grad, torch.zeros(101))
    assert torch.stack(path).isfinite().all()
    assert (path[-1] < path[0]).all()


class TestMistakesInCirculation:
    """Formulas that popular notes print; each gives something else than the rule."""

    def test_momentum_whose_velocity_is_never_used(self):
        """``v ← αv − εg`` and then ``θ ← θ − εg`` is plain gradient descent."""
        theta, v = START.copy(), np.zeros_like(START)
        for _ in range(30):
            g = valley_gradient(theta)
            v = 0.9 * v - 0.002 * g
            theta = theta - 0.002 * g
        start = torch.from_numpy(START)
        momentum = rule_run([Momentum(lr=0.002)] * 30, on_tensors(valley_gradient), start)[-1]
        descent = rule_run([SGD(lr=0.002)] * 30, on_tensors(valley_gradient), start)[-1]
        np.testing.assert_allclose(theta, descent, rtol=1e-13)
        assert np.abs(theta - momentum.numpy()).max() > 0.1

    def test_rmsprop_dividing_the_weight_by_the_bias_accumulator(self):
        gradients = np.array([[3.0, 0.1], [2.0, -0.2]])
        accumulator = 0.9 * (0.1 * gradients[0] ** 2) + 0.1 * gradients[1] ** 2
        weight, bias = under(RMSProp(lr=0.01, eps=1e-30), gradients)[1]
        assert weight == pytest.approx(-0.01 * 2.0 / math.sqrt(accumulator[0]))
        assert bias == pytest.approx(-0.01 * -0.2 / math.sqrt(accumulator[1]))
        mistaken = -0.01 * 2.0 / math.sqrt(accumulator[1])
        assert mistaken / weight > 10

    def test_adam_correcting_every_step_as_the_first(self):
        """``1 − ρ`` instead of ``1 − ρ^t``: right once, then down to 0.32 of the step."""
        changes = under(Adam(lr=0.001), np.ones((14_000, 1)))[:, 0]
        m = r = 0.0
        mistaken = []
        for _ in range(14_000):
            m, r = 0.9 * m + 0.1, 0.999 * r + 0.001
            mistaken.append(-0.001 * (m / (1 - 0.9)) / (math.sqrt(r / (1 - 0.999)) + 1e-8))
        assert mistaken[0] == pytest.approx(changes[0], rel=1e-12)
        assert mistaken[1] / changes[1] > 1.3
        factor = math.sqrt(1 - 0.999) / (1 - 0.9)
        assert mistaken[-1] / changes[-1] == pytest.approx(factor, rel=1e-6)
        assert factor == pytest.approx(0.316, abs=1e-3)

    def test_adagrad_summed_up_to_the_step_before(self):
        """The first step would divide by ``eps`` alone."""
        first = under(AdaGrad(lr=0.1, eps=1e-7), constant(1))[0]
        mistaken = -0.1 * CONSTANT / (np.sqrt(0.0) + 1e-7)
        np.testing.assert_allclose(np.abs(first), 0.1, rtol=1e-5)
        assert (np.abs(mistaken / first) > 1e5).all()

    def test_rmsprop_with_nesterov_without_eps(self):
        """A coordinate without a gradient divides 0 by 0; here it stays where it is."""
        gradients = np.array([[0.0, 1.0], [0.0, -2.0]])
        with np.errstate(invalid="ignore"):
            mistaken = gradients[0] / np.sqrt(0.1 * gradients[0] ** 2)
        assert np.isnan(mistaken[0])
        for eps_inside in (False, True):
            changes = under(
                RMSProp(lr=0.01, momentum=0.9, nesterov=True, eps_inside=eps_inside), gradients
            )
            assert (changes[:, 0] == 0).all()
            assert (changes[:, 1] != 0).all()
            assert np.isfinite(changes).all()
