"""`talweg watch-demo`."""

from pathlib import Path

import pytest

from talweg.diagnose import DEMOS, demos


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "160")


@pytest.mark.parametrize("name", DEMOS)
def test_both_runs_are_told_side_by_side(name: str, run):
    code, out, told = run("watch-demo", name)
    assert (code, told) == (0, "")
    demo = DEMOS[name]
    (verdict,) = [line for line in out.splitlines() if line.startswith("verdict")]
    assert "Healthy: nothing found in 600 steps" in verdict
    assert "%" in next(line for line in out.splitlines() if line.startswith("test accuracy"))
    if demo.finding:
        assert demo.finding.capitalize() in verdict
        (changed,) = [line for line in out.splitlines() if line.startswith("what differs")]
        for recipe in demo.recipes:
            assert demo.changed(recipe)[0] in changed
        assert "from step" in out
    else:
        assert "The cure" not in out
    assert ("wrong start at step 0" in out) == (name in {"exploding", "saturated"})


def test_a_page_is_written(run, tmp_path: Path):
    code, out, _ = run("watch-demo", "dead", "--out", str(tmp_path / "demo.html"))
    assert code == 0
    assert out.splitlines()[-1] == str(tmp_path / "demo.html")
    text = (tmp_path / "demo.html").read_text(encoding="utf-8")
    assert "talweg watch-demo dead" in text
    assert "The disease" in text
    assert "The cure" in text


def test_live_tells_of_both_runs_on_the_error_stream(run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(demos, "STEPS", 60)
    code, out, told = run("watch-demo", "vanishing", "--live")
    assert code == 0
    assert "talweg.watch" not in out
    lines = told.splitlines()
    assert lines[0] == "The disease: nn.Linear(64, 64), nn.Sigmoid()  # × 6"
    assert lines[-1] == "The cure: nn.Linear(64, 64), nn.Tanh()  # × 6"
    assert any("vanishing gradient" in line for line in lines[1:-1])


def test_an_unknown_name_is_told_in_a_line(run):
    code, out, told = run("watch-demo", "vanish")
    assert (code, out) == (2, "")
    assert told.startswith("talweg: unknown demo 'vanish'; did you mean 'vanishing'?")
    assert len(told.splitlines()) == 1


def test_a_page_that_cannot_be_written_is_told_before_anything_is_trained(run, tmp_path: Path):
    code, out, told = run("watch-demo", "healthy", "--out", str(tmp_path / "no" / "x.html"))
    assert (code, out) == (2, "")
    assert told.startswith("talweg: cannot write")
    assert len(told.splitlines()) == 1
