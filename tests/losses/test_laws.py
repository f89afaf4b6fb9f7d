"""What holds for every loss that has a name."""

import copy
import pickle

import pytest
import torch
from tests.losses.oracles import CLASSES, NUMBERS, PAIRS, binary_cross_entropy
from torch import distributions, nn
from torch.func import grad_and_value, vmap

import talweg
from talweg import lanes, rules
from talweg.losses import (
    LOSSES,
    BinaryCrossEntropy,
    CrossEntropy,
    Focal,
    Hinge,
    Huber,
    NegativeLogLikelihood,
    Quantile,
    loss_for,
    loss_named,
    squared_error,
)

DRAW = torch.Generator().manual_seed(0)
LOGITS = torch.randn(9, 4, generator=DRAW, dtype=torch.float64) * 3
CHOSEN = torch.randint(4, (9,), generator=DRAW)
GUESSES = torch.randn(9, generator=DRAW, dtype=torch.float64) * 2
NUMBERS_WANTED = torch.randint(5, (9,), generator=DRAW).double()
TWOS = torch.randn(9, 2, generator=DRAW, dtype=torch.float64)


def given(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """An output and a target for a loss."""
    if name in CLASSES:
        return LOGITS, CHOSEN
    if name == "binary-cross-entropy":
        return GUESSES, (NUMBERS_WANTED > 2).long()
    return (TWOS if name in PAIRS else GUESSES), NUMBERS_WANTED


def wanted(name: str) -> list[float]:
    output, target = given(name)
    rows = zip(output.tolist(), target.tolist(), strict=True)
    if name in PAIRS:
        return [PAIRS[name](*pair, y) for pair, y in rows]
    oracle = {**CLASSES, **NUMBERS, "binary-cross-entropy": binary_cross_entropy}[name]
    return [oracle(z, y) for z, y in rows]


@pytest.mark.parametrize("name", LOSSES)
def test_it_is_the_definition_sample_by_sample(name):
    loss, (output, target) = LOSSES[name], given(name)
    values = torch.tensor(wanted(name), dtype=torch.float64)
    torch.testing.assert_close(loss.per_sample(output, target), values)
    torch.testing.assert_close(loss.reduced(output, target, "none"), values)
    torch.testing.assert_close(loss(output, target), values.mean())
    torch.testing.assert_close(loss.reduced(output, target, "sum"), values.sum())


@pytest.mark.parametrize("name", LOSSES)
def test_autograd_agrees_with_differences(name):
    output, target = given(name)
    output = output.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda out: LOSSES[name].per_sample(out, target), output)
    assert torch.autograd.gradgradcheck(lambda out: LOSSES[name].per_sample(out, target), output)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", LOSSES)
def test_outputs_of_any_size(name, dtype):
    output, target = given(name)
    for size in (1e4, 1e-30, 0.0):
        large = (output.sign() * size).to(dtype).requires_grad_()
        kept = target.to(dtype) if target.is_floating_point() else target
        value = LOSSES[name](large, kept)
        (slope,) = torch.autograd.grad(value, large)
        assert value.isfinite()
        assert slope.isfinite().all()


@pytest.mark.parametrize("name", LOSSES)
def test_it_travels_compiles_and_is_stacked(name):
    loss, (output, target) = LOSSES[name], given(name)
    for other in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert torch.equal(other(output, target), loss(output, target))
    lanes_of = torch.stack((output, output * 0.5, -output))
    each = vmap(grad_and_value(loss), in_dims=(0, None))
    slopes, values = each(lanes_of, target)
    for lane, row in enumerate(lanes_of):
        alone, value = grad_and_value(loss)(row, target)
        torch.testing.assert_close(slopes[lane], alone)
        torch.testing.assert_close(values[lane], value)


def test_all_compile_without_a_break():
    def together(outputs: list[torch.Tensor]) -> torch.Tensor:
        rows = zip(LOSSES.items(), outputs, strict=True)
        return torch.stack([loss(output, given(name)[1]) for (name, loss), output in rows])

    outputs = [given(name)[0] for name in LOSSES]
    torch.testing.assert_close(torch.compile(together, fullgraph=True)(outputs), together(outputs))


OUTPUTS = {"cross-entropy": 4, "focal": 4, "hinge": 4, "gaussian-nll": 2, "laplace-nll": 2}


@pytest.mark.parametrize("name", LOSSES)
def test_stacked_lanes_equal_separate_runs(name):
    x = torch.randn(36, 5, generator=torch.Generator().manual_seed(1))
    if LOSSES[name].kind == "classification":
        y = (x.sum(1) > 0).long() * (1 if name == "binary-cross-entropy" else 3)
    else:
        y = x.sum(1).abs().round()
    found = [
        lanes.train(
            lambda: nn.Linear(5, OUTPUTS.get(name, 1)),
            (x, y),
            [rules.SGD(lr=0.01), rules.Adam(lr=0.01)],
            steps=5,
            batch_size=12,
            loss=name,
            strategy=strategy,
        ).losses
        for strategy in ("stacked", "serial")
    ]
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-6)
    assert (found[0][:, -1] < 2 * found[0][:, 0]).all()


WEIGHTS = torch.tensor([1, 2, 0.5, 3], dtype=torch.float64)
TORCH = [
    (CrossEntropy(), nn.CrossEntropyLoss()),
    (CrossEntropy(smoothing=0.2), nn.CrossEntropyLoss(label_smoothing=0.2)),
    (CrossEntropy(weights=(1, 2, 0.5, 3)), nn.CrossEntropyLoss(weight=WEIGHTS)),
    (CrossEntropy(ignore=2), nn.CrossEntropyLoss(ignore_index=2)),
    (
        CrossEntropy(weights=(1, 2, 0.5, 3), ignore=1),
        nn.CrossEntropyLoss(weight=WEIGHTS, ignore_index=1),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("ours", "theirs"), TORCH)
@pytest.mark.parametrize("places", [(), (3,)])
def test_cross_entropy_with_options_is_pytorchs_mean(ours, theirs, places):
    logits = torch.randn(9, 4, *places, generator=DRAW, dtype=torch.float64)
    target = torch.randint(4, (9, *places), generator=DRAW)
    loss = loss_for(ours, target, logits)
    torch.testing.assert_close(loss(logits, target), theirs(logits, target))


def test_soft_targets():
    shares = LOGITS.flip(0).softmax(1)
    for options in ({}, {"smoothing": 0.1}, {"weights": (1.0, 2.0, 0.5, 3.0)}):
        theirs = {"label_smoothing": options.get("smoothing", 0.0)}
        if "weights" in options:
            theirs["weight"] = torch.tensor(options["weights"], dtype=torch.float64)
        loss = loss_for(CrossEntropy(**options), CHOSEN, LOGITS)
        expected = nn.functional.cross_entropy(LOGITS, shares, **theirs)
        torch.testing.assert_close(loss(LOGITS, shares), expected)


def test_a_class_that_is_ignored_counts_for_nothing():
    loss = loss_named("cross-entropy(ignore=1)")
    kept = CHOSEN != 1
    torch.testing.assert_close(
        loss(LOGITS, CHOSEN), LOSSES["cross-entropy"](LOGITS[kept], CHOSEN[kept])
    )
    assert loss(LOGITS, torch.ones_like(CHOSEN)) == 0


def test_least_squares_is_the_gaussian_likelihood_up_to_a_constant():
    scale = 0.7
    gaussian = NegativeLogLikelihood(lambda out: distributions.Normal(out, scale))
    apart = gaussian(GUESSES, NUMBERS_WANTED) - squared_error(GUESSES, NUMBERS_WANTED) / (
        2 * scale**2
    )
    torch.testing.assert_close(apart, apart[:1].expand_as(apart))


@pytest.mark.parametrize(
    ("family", "target"),
    [
        (lambda out: distributions.Categorical(logits=out), CHOSEN),
        (lambda out: distributions.Poisson(out[:, 0].exp()), NUMBERS_WANTED),
        (lambda out: distributions.Gamma(out[:, 0].exp(), out[:, 1].exp()), NUMBERS_WANTED + 1),
        (
            lambda out: distributions.Independent(distributions.Normal(out[:, :2], 1.0), 1),
            LOGITS[:, 2:],
        ),
    ],
)
def test_any_family_is_its_negative_log_likelihood(family, target):
    loss = NegativeLogLikelihood(family)
    torch.testing.assert_close(loss(LOGITS, target), -family(LOGITS).log_prob(target))
    x = torch.randn(9, 3, generator=DRAW)
    kept = target if not target.is_floating_point() else target.float()
    run = lanes.train(lambda: nn.Linear(3, 4), (x, kept), rules.Adam(), steps=3, loss=loss)
    assert run.losses.isfinite().all()


def test_a_categorical_family_is_cross_entropy():
    loss = NegativeLogLikelihood(lambda out: distributions.Categorical(logits=out))
    torch.testing.assert_close(loss(LOGITS, CHOSEN), CrossEntropy()(LOGITS, CHOSEN))


def test_the_other_options_are_the_definitions():
    margin = torch.tensor([2.0, 0.5, -1.0]).double()
    y = torch.tensor([1, 0, 1])
    weighted = BinaryCrossEntropy(positive=3.0)(margin, y)
    expected = nn.functional.binary_cross_entropy_with_logits(
        margin, y.double(), reduction="none", pos_weight=torch.tensor(3.0)
    )
    torch.testing.assert_close(weighted, expected)
    smooth = BinaryCrossEntropy(smoothing=0.2)(margin, y)
    torch.testing.assert_close(smooth, BinaryCrossEntropy()(margin, y * 0.8 + 0.1))
    torch.testing.assert_close(Focal(gamma=0.0)(LOGITS, CHOSEN), CrossEntropy()(LOGITS, CHOSEN))
    torch.testing.assert_close(Hinge(squared=True)(LOGITS, CHOSEN), Hinge()(LOGITS, CHOSEN) ** 2)
    theirs = nn.functional.huber_loss(GUESSES, NUMBERS_WANTED, reduction="none", delta=0.3)
    torch.testing.assert_close(Huber(delta=0.3)(GUESSES, NUMBERS_WANTED), theirs)


def test_the_minimum_of_the_quantile_loss_is_the_quantile():
    y = torch.randn(4001, generator=DRAW, dtype=torch.float64)
    grid = torch.linspace(-2, 2, 401, dtype=torch.float64)
    totals = torch.stack([Quantile(0.8)(one.expand_as(y), y).mean() for one in grid])
    assert grid[totals.argmin()].item() == pytest.approx(y.quantile(0.8).item(), abs=0.011)


def test_weights_reach_the_readings():
    x = torch.randn(60, 3, generator=DRAW)
    y = (x[:, 0] > 0.7).long()
    loss = loss_for(CrossEntropy(weights=(1.0, 4.0)), y, torch.zeros(60, 2))
    seen = []
    run = lanes.train(
        lambda: nn.Linear(3, 2), (x, y), rules.SGD(lr=0.1), steps=0, loss=loss,
        evaluate={"all": (x, y)}, each=seen.append, batch_size=None,
    )  # fmt: skip
    model = nn.Linear(3, 2)
    model.load_state_dict(run.params(0))
    expected = nn.functional.cross_entropy(model(x), y, weight=torch.tensor([1.0, 4.0]))
    assert seen[0].values["all", "loss"][0] == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cross-entropi", "did you mean 'cross-entropy'"),
        ("huber(delta=0)", "delta must be a positive number, got 0"),
        ("huber(size=2)", "unknown option of huber 'size'"),
        ("log-cosh(delta=1)", "unknown option of log-cosh 'delta'"),
        ("gaussian-nll(family=3)", "unknown option of gaussian-nll 'family'"),
        ("cross-entropy(smoothing=1)", "smoothing must be a number of at least 0 and below 1"),
        ("quantile(q=1)", "q must be a number above 0 and below 1, got 1"),
        ("focal(gamma=-1)", "gamma must be a number of at least 0, got -1"),
        ("hinge(margin=0)", "margin must be a positive number, got 0"),
    ],
)
def test_bad_input_is_told_in_one_line(text, said):
    with pytest.raises(talweg.UserError, match=said):
        loss_named(text)


def test_weights_of_another_number_of_classes():
    with pytest.raises(talweg.UserError, match=r"one per class \(4\), got 2"):
        CrossEntropy(weights=(1.0, 2.0))(LOGITS, CHOSEN)
    with pytest.raises(talweg.UserError, match="gaussian-nll needs two values per sample"):
        LOSSES["gaussian-nll"](GUESSES, NUMBERS_WANTED)
