"""Every demo shows its disease, and the cure's run is free of it."""

from functools import cache

import pytest
import torch

from talweg.core import UserError
from talweg.diagnose import DEMOS, DIAGNOSES, Outcome, verdict
from talweg.diagnose.demos import STEPS, trained

ILL = [name for name, demo in DEMOS.items() if demo.finding]


@cache
def outcomes(name: str) -> list[Outcome]:
    return [trained(recipe) for recipe in DEMOS[name].recipes]


def names(outcome: Outcome) -> set[str]:
    return {one.name for one in outcome.health.findings}


@pytest.mark.parametrize("name", ILL)
def test_the_disease_is_found_and_said_first(name: str):
    found = outcomes(name)[0].health
    assert found.findings[0].name == DEMOS[name].finding
    assert verdict(found).lower().startswith(DEMOS[name].finding)


@pytest.mark.parametrize("name", ILL)
def test_the_cure_is_free_of_it_and_of_anything_else_and_predicts_better(name: str):
    ill, cured = outcomes(name)
    assert names(cured) == set()
    assert cured.accuracy > max(0.9, ill.accuracy + 0.1)


@pytest.mark.parametrize("name", ILL)
@pytest.mark.parametrize("seed", [1, 2])
def test_so_it_is_for_other_seeds(name: str, seed: int):
    ill, cured = (trained(recipe, seed=seed) for recipe in DEMOS[name].recipes)
    assert DEMOS[name].finding in names(ill)
    assert DEMOS[name].finding not in names(cured)


def test_a_healthy_run_has_no_finding():
    (run,) = outcomes("healthy")
    assert names(run) == set()
    assert run.health.steps == STEPS
    assert run.accuracy > 0.9
    assert DEMOS["healthy"].changed(run.recipe) == []


@pytest.mark.parametrize("name", ILL)
def test_one_thing_is_changed(name: str):
    demo = DEMOS[name]
    ill, cure = demo.recipes
    assert len(demo.changed(ill)) == len(demo.changed(cure)) == 1
    assert len(ill.code) == len(cure.code)


@pytest.mark.parametrize("name", DEMOS)
def test_the_code_that_is_shown_is_what_is_run(name: str):
    for recipe in DEMOS[name].recipes:
        torch.manual_seed(0)
        model = recipe.model()
        hidden, last, *start, rule = recipe.code
        layers, times = hidden.split("  # × ")
        written = [f"nn.{layer}" for layer in map(str, model)]
        made = eval(f"[{layers}] * {times} + [{last}]", {"nn": torch.nn})
        assert [f"nn.{layer}" for layer in map(str, made)] == written
        ours = recipe.rule(model.parameters(), **recipe.settings)
        shown = eval(rule, {"torch": torch, "model": model})
        assert type(shown) is type(ours)
        assert shown.param_groups == ours.param_groups
        if start:
            torch.manual_seed(0)
            plain = eval(f"[{layers}] * {times} + [{last}]", {"nn": torch.nn})
            assert not torch.equal(plain[-1].weight, model[-1].weight)
            torch.manual_seed(0)
            layer = torch.nn.Linear(64, 64)
            eval(start[0], {"nn": torch.nn, "layer": layer})
            found, expected = (float(one.weight.detach().std()) for one in (layer, model[2]))
            assert found == pytest.approx(expected, rel=0.1)


def test_runs_are_the_same_each_time_and_leave_the_draws_alone():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one, other = (trained(DEMOS["too-cold"].ill) for _ in range(2))
    assert one.health.losses == other.health.losses
    assert torch.equal(torch.random.get_rng_state(), before)


def test_demos_name_findings_that_there_are():
    assert all(not demo.finding or demo.finding in DIAGNOSES for demo in DEMOS.values())
    with pytest.raises(UserError, match="unknown demo 'vanish'; did you mean 'vanishing'"):
        DEMOS["vanish"]
