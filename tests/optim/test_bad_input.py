"""Each mistake gives one clear line."""

import copy

import pytest
import torch
from tests.optim.test_contract import ALL, OWN, made, weights
from torch import nn

from talweg import optim


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("params", "message"),
    [
        (list, "empty parameter list"),
        (lambda: torch.ones(3), "iterable"),
        (
            lambda: 2 * weights((3,)),
            "twice|dup",
        ),
        (lambda: [torch.ones(3, dtype=torch.complex64).requires_grad_()], "complex64"),
        (lambda: [nn.Parameter(torch.ones(3, dtype=torch.int), requires_grad=False)], "int32"),
        (lambda: ["weight"], "str"),
    ],
    ids=["empty", "a tensor", "twice", "complex", "integers", "text"],
)
def test_parameters(name, params, message):
    with pytest.raises((ValueError, TypeError), match=message):
        made(name, params())


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("lr", [-0.1, float("nan"), float("inf")])
def test_rates(name, lr):
    with pytest.raises(ValueError, match=r"(lr|[Ll]earning rate).*(-0\.1|nan|inf)"):
        made(name, weights((3,)), lr=lr)


@pytest.mark.parametrize(
    "name",
    [n for n in ALL if hasattr(optim, n) and "betas" in getattr(optim, n).__init__.__annotations__],
)
@pytest.mark.parametrize("beta", [-0.1, 1.0, float("nan")])
@pytest.mark.parametrize("place", [0, 1])
def test_betas(name, beta, place):
    given = [0.9, 0.9, 0.9][: 3 if name == "Adan" else 2]
    given[place] = beta
    with pytest.raises(ValueError, match=r"beta"):
        made(name, weights((3,)), betas=tuple(given))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("SGD", {"momentum": -1}, "momentum"),
        ("SGD", {"nesterov": True}, "[Nn]esterov"),
        ("Adam", {"eps": -1.0}, "eps"),
        ("Adam", {"weight_decay": -1.0}, "weight_decay"),
        ("Adam", {"weight_decay": float("nan")}, "weight_decay"),
        ("Adam", {"capturable": True}, "capturable=True is not supported"),
        ("Adam", {"differentiable": True}, "differentiable=True is not supported"),
        ("Momentum", {"form": "heavy"}, "form"),
        ("Momentum", {"momentum": 1.0}, "momentum"),
        ("RMSpropNesterov", {"alpha": 1.5}, "alpha must be"),
        ("ScheduleFreeSGD", {"momentum": 0.0}, "momentum must be a number above 0 and below 1"),
        ("Lion", {"weight_decay": -1.0}, "weight_decay"),
        ("Rprop", {"etas": (1.5, 1.2)}, "eta"),
    ],
)
def test_numbers(name, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        made(name, weights((3,)), **options)


def test_a_group_with_a_bad_number_is_not_added():
    a, b = weights((3,), (3,))
    optimizer = optim.Adam([a])
    with pytest.raises(ValueError, match="beta"):
        optimizer.add_param_group({"params": [b], "betas": (0.9, 2.0)})
    assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize("name", ALL)
def test_sparse_gradients(name):
    embedding = nn.Embedding(5, 3, sparse=True)
    embedding(torch.tensor([1, 2])).sum().backward()
    with pytest.raises(RuntimeError, match="do not support sparse gradients"):
        made(name, embedding.parameters()).step()


def test_a_state_of_another_shape_or_kind():
    (small,), (large,), (other,) = weights((3,)), weights((4,)), weights((3,))
    one, two, three = optim.Adam([small]), optim.Adam([large]), optim.SGD([other], momentum=0.9)
    one.step()
    three.step()
    two.load_state_dict(one.state_dict())
    with pytest.raises(ValueError, match=r"exp_avg.*\[3\].*\[4\]"):
        two.step()
    before = one.state_dict()
    with pytest.raises(ValueError, match="is it another optimizer's"):
        one.load_state_dict(three.state_dict())
    assert one.state_dict() == before
    with pytest.raises(ValueError, match="is it another optimizer's"):
        three.load_state_dict(one.state_dict())


@pytest.mark.parametrize("name", ["Lion", "AdaBelief", "Adan"])
@pytest.mark.parametrize("betas", [(0.9,), (0.9,) * 4, 0.9, None])
def test_betas_of_another_number(name, betas):
    with pytest.raises(ValueError, match=r"betas must be [23] numbers, got"):
        made(name, weights((3,)), betas=betas)


@pytest.mark.parametrize("betas", [(0.9, 0.99, 0.999), [0.9], 0.9, None])
def test_loaded_betas_of_another_number(betas):
    (weight,) = weights((3,))
    optimizer = optim.Adam([weight])
    optimizer.step()
    before = optimizer.state_dict()
    saved = copy.deepcopy(before)
    saved["param_groups"][0] |= {"betas": betas, "lr": 0.5}
    saved["state"][0]["exp_avg"].zero_()
    with pytest.raises(ValueError, match="betas must be 2 numbers, got"):
        optimizer.load_state_dict(saved)
    assert optimizer.state_dict() == before
    assert optimizer.state[weight]["exp_avg"].any()


@pytest.mark.parametrize("name", [name for name in OWN if name != "AMSGrad"])  # torch's own check
@pytest.mark.parametrize("lr", ["1e-3", None, torch.ones(2), torch.tensor(-1.0), True])
def test_rates_that_are_no_numbers(name, lr):
    with pytest.raises(ValueError, match="lr must be a number"):
        made(name, weights((3,)), lr=lr)


def test_the_same_parameter_under_two_names():
    (weight,) = weights((3,))
    with pytest.raises(ValueError, match="twice"):
        optim.SGD([("a", weight), ("b", weight)], lr=0.1)


def test_the_state_of_another_class():
    a, b = weights((3,)), weights((3,))
    adam, other = optim.Adam(a), optim.Adamax(b)
    adam.step()
    with pytest.raises(ValueError, match="'exp_avg_sq' and no 'exp_inf'"):
        other.load_state_dict(adam.state_dict())
    assert not other.state
    saved = adam.state_dict()
    saved["param_groups"][0]["capturable"] = True
    with pytest.raises(ValueError, match="capturable"):
        adam.load_state_dict(saved)
    amsgrad = optim.AMSGrad(b)
    amsgrad.load_state_dict(torch.optim.Adam(a).state_dict())
    amsgrad.step()
    assert "max_exp_avg_sq" in amsgrad.state[b[0]]


def test_a_hook_has_the_last_word_on_a_loaded_state():
    (weight,) = weights((3,))
    optimizer = optim.Adam([weight])
    optimizer.step()

    def hook(loaded: torch.optim.Optimizer) -> None:
        loaded.state[weight]["exp_avg_sq"] = torch.full((3,), 5.0)

    optimizer.register_load_state_dict_post_hook(hook)
    optimizer.load_state_dict(optimizer.state_dict())
    assert optimizer.state[weight]["exp_avg_sq"].tolist() == [5.0] * 3


def test_a_sparse_gradient_is_found_before_anything_is_stepped():
    (dense,) = weights((3,))
    embedding = nn.Embedding(5, 3, sparse=True).double()
    embedding(torch.tensor([1])).sum().backward()
    start = dense.detach().clone()
    optimizer = optim.Adam([{"params": [dense]}, {"params": embedding.parameters()}])
    with pytest.raises(RuntimeError, match="sparse"):
        optimizer.step()
    assert torch.equal(dense, start)
    assert not optimizer.state


def test_what_is_no_model_no_choice_and_no_rule():
    with pytest.raises(ValueError, match="model must be a torch module, got str"):
        optim.decay_groups("model")
    with pytest.raises(ValueError, match="wanted must be True, False or None, got 'yes'"):
        optim.use_compiler("yes")

    class Nothing(optim.RuleOptimizer):
        """No rule."""

    with pytest.raises(NotImplementedError, match="Nothing does not say which rule"):
        Nothing(weights((3,)), {})


def test_of_rule_wants_a_rule():
    with pytest.raises(ValueError, match="rule must be"):
        optim.OfRule(weights((3,)), "adam")


@pytest.mark.parametrize("other", [optim.SOAP, optim.Prodigy])
def test_a_state_that_has_more_than_is_kept_here(other):
    matrices = weights((4, 3)), weights((4, 3))
    first, adam = other(matrices[0]), optim.Adam(matrices[1])
    first.step()
    saved = adam.state_dict() | {"state": first.state_dict()["state"]}
    with pytest.raises(ValueError, match="is it another optimizer's"):
        adam.load_state_dict(saved)
    assert not adam.state


@pytest.mark.parametrize("value", [1.0, "x"])
def test_a_loaded_state_that_is_no_tensor(value):
    (weight,) = weights((4, 3))
    optimizer = optim.Muon([weight])
    optimizer.step()
    saved = optimizer.state_dict()
    saved["state"][0]["momentum_buffer"] = value
    with pytest.raises(ValueError, match="'momentum_buffer' must be a tensor, got"):
        optim.Muon(weights((4, 3))).load_state_dict(saved)
