"""`talweg list`."""

from dataclasses import fields

import pytest

from talweg.diagnose import DIAGNOSES

LISTS = {
    "rules": ["schedule-free-adamw", "ns_coefficients=(3.4445, -4.775, 2.0315)"],
    "activations": ["soft-exponential", "gradient gain", "-0.17"],
    "landscapes": ["rosenbrock", "(3, 0.5)"],
    "losses": ["huber", "delta=1.0"],
    "schedules": ["inverse-time", "power=1.0"],
    "metrics": ["accuracy"],
    "models": ["transformer", "one logit for two classes", "16,32"],
    "findings": ["learning rate too large", "total_in_time=0.001", "2 signs"],
}


@pytest.fixture
def listed(run, monkeypatch: pytest.MonkeyPatch):
    """``listed(what, columns) -> output`` on a terminal that is as wide."""

    def call(what: str, columns: int) -> str:
        monkeypatch.setenv("COLUMNS", str(columns))
        code, out, errors = run("list", what)
        assert (code, errors) == (0, "")
        return out

    return call


@pytest.mark.parametrize("what", LISTS)
def test_lists_of_what_has_a_name(what: str, listed):
    shown = listed(what, 200)
    assert all(word in shown for word in LISTS[what])


@pytest.mark.parametrize("what", LISTS)
@pytest.mark.parametrize("columns", [80, 120])
def test_every_word_is_whole_on_a_narrow_terminal(what: str, columns: int, listed):
    wide, narrow = listed(what, 1000), listed(what, columns)
    assert set(wide.split()) == set(narrow.split())
    assert max(map(len, narrow.splitlines())) <= columns


@pytest.mark.parametrize("columns", [80, 160])
def test_findings_are_listed_with_all_thresholds(columns: int, listed):
    out = listed("findings", columns)
    for name, diagnosis in DIAGNOSES.items():
        assert len([line for line in out.splitlines() if line.startswith(name)]) == 1
        for field in fields(diagnosis):
            assert f"{field.name}={getattr(diagnosis, field.name)}" in out
