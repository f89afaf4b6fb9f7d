"""Rules by name: what people type, what they are shown, what they are told when it is wrong."""

import math
from itertools import pairwise

import pytest

from talweg.core import UserError
from talweg.rules import (
    RULES,
    SGD,
    STANDARD,
    AdaGrad,
    Adam,
    Momentum,
    NamedRule,
    Nesterov,
    RMSProp,
    default_lrs,
    named,
    rule_label,
)

from .cases import DEFAULTS, FORMS, over


@pytest.mark.parametrize(
    ("text", "rule", "label"),
    [
        ("sgd", SGD(), "SGD"),
        ("momentum", Momentum(), "Momentum"),
        ("nesterov", Nesterov(), "Nesterov"),
        ("adagrad", AdaGrad(), "AdaGrad"),
        ("rmsprop", RMSProp(), "RMSProp"),
        ("rmsprop-nesterov", RMSProp(momentum=0.9, nesterov=True), "RMSProp + Nesterov"),
        ("adam", Adam(), "Adam"),
        ("momentum(form=average)", Momentum(form="average"), "Momentum (form=average)"),
        ("adam(beta1=0.8, eps=1e-6)", Adam(beta1=0.8, eps=1e-6), "Adam (beta1=0.8, eps=1e-06)"),
        ("adam(eps_inside=true)", Adam(eps_inside=True), "Adam (eps_inside=True)"),
        ("rmsprop(momentum=0.5)", RMSProp(momentum=0.5), "RMSProp (momentum=0.5)"),
        ("adam(beta1=0)", Adam(beta1=0), "Adam (beta1=0)"),
    ],
)
def test_a_name_with_options_gives_the_rule_and_its_label(text, rule, label):
    known = named(text)
    assert known.rule == rule
    assert known.label == label
    assert rule_label(rule) == label


def test_standard_holds_the_seven_rules_of_the_textbook_and_only_registered_ones():
    seven = {"sgd", "momentum", "nesterov", "adagrad", "rmsprop", "rmsprop-nesterov", "adam"}
    assert seven <= set(STANDARD) <= set(RULES)


@over(DEFAULTS + FORMS)
def test_the_name_of_a_rule_gives_it_back(rule):
    """All but the learning rate, which a sweep sets."""
    again = named(named(rule).name).rule
    assert type(again) is type(rule)
    assert {**again.settings, "lr": None} == {**rule.settings, "lr": None}


def test_the_learning_rate_is_no_part_of_a_name():
    assert named("sgd(lr=0.5)") == NamedRule("sgd", "SGD", SGD(lr=0.5))
    assert named(SGD(lr=0.5)).name == "sgd"


def test_values_that_differ_late_have_different_names():
    assert named(Adam(beta2=0.9999999)).name == "adam(beta2=0.9999999)"
    assert named(Adam(beta2=0.99900001)).name != named(Adam(beta2=0.99900002)).name


def test_equal_rules_have_equal_names():
    assert named(Adam(beta1=0)).name == named(Adam(beta1=0.0)).name


def test_the_closest_registered_name_is_taken():
    nesterov = RMSProp(momentum=0.9, nesterov=True)
    assert named(nesterov).name == "rmsprop-nesterov"
    assert named(RMSProp(momentum=0.8, nesterov=True)).name == "rmsprop-nesterov(momentum=0.8)"


def test_a_rule_of_the_users_own_goes_by_its_class():
    class Downhill(SGD):
        pass

    own = Downhill(lr=0.5)
    assert named(own) == NamedRule("downhill", "Downhill", own)


def test_a_named_rule_is_left_alone():
    known = RULES["adam"]
    assert named(known) is known


def test_another_learning_rate_changes_nothing_else():
    known = named("adam(beta1=0.8)")
    assert known.with_lr(0.5) == Adam(lr=0.5, beta1=0.8)
    assert known.rule == Adam(beta1=0.8)
    with pytest.raises(UserError, match=r"^lr must be a positive number, got 0$"):
        known.with_lr(0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("adma", "unknown rule 'adma'; did you mean 'adam'? (talweg list rules)"),
        ("zzzzz", "unknown rule 'zzzzz' (talweg list rules)"),
        (
            "adam(beta3=0.5)",
            "unknown option of adam 'beta3'; did you mean 'beta2'? "
            "(allowed: lr, beta1, beta2, eps, eps_inside, amsgrad, eps_hat)",
        ),
        ("sgd(quux=1)", "unknown option of sgd 'quux' (allowed: lr)"),
        ("sgd(lr=-1)", "lr must be a positive number, got -1"),
        ("sgd(lr=fast)", "lr must be a positive number, got 'fast'"),
        ("sgd(lr=nan)", "lr must be a positive number, got nan"),
        (
            "momentum(form=avrage)",
            "unknown form 'avrage'; did you mean 'average'? "
            "(allowed: velocity, accumulate, average)",
        ),
        ("adam(eps_inside=1)", "eps_inside must be true or false, got 1"),
        ("rmsprop(nesterov=true)", "nesterov=True needs momentum above 0, got momentum=0"),
        ("adam(beta1)", "expected option=value in 'adam(beta1)', got 'beta1'"),
        (3, "a rule is a name or a talweg.rules object, got int"),
        (Adam, "a rule is a name or a talweg.rules object, got ABCMeta"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(given, message):
    with pytest.raises(UserError) as caught:
        named(given)
    assert str(caught.value) == message


@pytest.mark.parametrize("count", [2, 3, 9, 16])
@over(DEFAULTS)
def test_default_rates_are_evenly_spaced_over_the_range(rule, count):
    rates = default_lrs(rule, count)
    low, high = rule.lr_range
    assert len(rates) == count
    assert rates[0] == pytest.approx(low)
    assert rates[-1] == pytest.approx(high)
    ratio = (high / low) ** (1 / (count - 1))
    for below, above in pairwise(rates):
        assert math.log(above / below) == pytest.approx(math.log(ratio), abs=2e-3)


def test_default_rates_are_usable_and_readable():
    assert default_lrs(SGD(), 5) == [0.001, 0.01, 0.1, 1.0, 10.0]
    assert default_lrs(Adam()) == [
        1e-05,
        3.162e-05,
        0.0001,
        0.0003162,
        0.001,
        0.003162,
        0.01,
        0.03162,
        0.1,
    ]


def test_default_rates_of_average_momentum_make_up_for_its_smaller_steps():
    assert default_lrs(Momentum(form="average"), 2) == [0.001, 10.0]
    assert default_lrs(Momentum(), 2) == [0.0001, 1.0]
