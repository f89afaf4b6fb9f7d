"""Which way lanes run where that is timed, and that the choice stays."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.lanes.common import needs_compiler, small
from torch import Tensor

from talweg import lanes
from talweg.lanes.choosing import COMPILED, SERIAL, Timing, remembered, why_not_stacked
from talweg.lanes.gradients import OneModule, Stacked
from talweg.lanes.workers import Workers

WIDTH = 8


def timed(monkeypatch: pytest.MonkeyPatch, **seconds: float) -> list[str]:
    """Has each way take so long: ``alone``, ``plain``, ``together`` or ``compiled``."""
    asked: list[str] = []
    compiling = False

    def per_lane(_self: Timing, gradients: Any, width: int, _workers: Workers) -> float:
        together = "together" if compiling else "plain"
        way = "alone" if isinstance(gradients, OneModule) else together
        asked.append("compiled" if way == "together" and width == 1 else way)
        return seconds[asked[-1]]

    def compile_now(_self: Stacked) -> None:
        nonlocal compiling
        compiling = True

    monkeypatch.setattr(Timing, "per_lane", per_lane)
    monkeypatch.setattr(Stacked, "compile_now", compile_now)
    return asked


def choice() -> str:
    stacked, alone = object.__new__(Stacked), object.__new__(OneModule)
    timing = object.__new__(Timing)
    return why_not_stacked(timing, stacked, alone, WIDTH, Workers(2))


def test_what_wins_uncompiled_is_not_compiled_to_see(monkeypatch: pytest.MonkeyPatch):
    asked = timed(monkeypatch, alone=2e-3, plain=1e-3)
    assert choice() == ""
    assert asked == ["alone", "plain"]


def test_what_loses_uncompiled_may_win_compiled(monkeypatch: pytest.MonkeyPatch):
    timed(monkeypatch, alone=1e-3, plain=2e-3, together=1.2e-3)
    assert choice() == ""  # alone, updates cost more: it must be clearly faster


@pytest.mark.parametrize(
    ("compiled", "way", "words"),
    [
        (0.9e-3, SERIAL, "1 ms a lane and step, stacked 2 ms"),
        (0.7e-3, COMPILED, "0.7 ms a lane and step, together 2 ms"),
    ],
)
def test_where_stacked_loses_the_faster_of_the_others_is_taken(
    monkeypatch: pytest.MonkeyPatch, compiled: float, way: str, words: str
):
    timed(monkeypatch, alone=1e-3, plain=3e-3, together=2e-3, compiled=compiled)
    assert choice() == f"{way}: {words}"


def test_a_choice_is_kept_for_the_same_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    assert remembered(("a", 1), lambda: "first") == "first"
    assert remembered(("a", 1), lambda: "second") == "first"
    assert remembered(("a", 2), lambda: "second") == "second"
    for path in (tmp_path / "talweg").iterdir():
        path.write_text("no choice")
    assert remembered(("a", 1), lambda: "third") == "third"


@needs_compiler
def test_lanes_that_go_one_at_a_time_learn_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: tuple[Tensor, Tensor]
):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("talweg.lanes.strategy.worth_compiling", lambda *_: 10)
    monkeypatch.setattr(
        "talweg.lanes.strategy.why_not_stacked", lambda *_: f"{COMPILED}: for this test"
    )
    rules, asked = ["sgd", "adam", "momentum"], {"steps": 30, "batch_size": 25}
    run = lanes.train(small, data, rules, **asked)
    assert run.notes[0] == f"lanes run {COMPILED}, which is faster: for this test"
    assert run._engine.width == 1
    alone = lanes.train(small, data, rules, strategy="serial", **asked)
    torch.testing.assert_close(run.losses, alone.losses, rtol=1e-4, atol=1e-5)
