"""docs/diagnosis.md says what the code does."""

from dataclasses import fields
from pathlib import Path

import pytest

from talweg.diagnose import DIAGNOSES
from talweg.diagnose.measures import OF_ACTIVITY, OF_STEP

TEXT = (Path(__file__).parents[2] / "docs" / "diagnosis.md").read_text()
ROWS = {
    cells[0]: cells[1:]
    for line in TEXT.splitlines()
    if line.startswith("| ")
    for cells in [[cell.strip() for cell in line.strip("|").replace("\\|", "/").split("|")]]
}


@pytest.mark.parametrize("name", DIAGNOSES)
def test_every_finding_stands_there_with_its_thresholds(name: str):
    diagnosis = DIAGNOSES[name]
    own = ", ".join(
        f"`{each.name}` {getattr(diagnosis, each.name):g}" for each in fields(diagnosis)
    )
    assert ROWS[name][-1] == own


@pytest.mark.parametrize(
    "measure", [*OF_ACTIVITY.values(), *OF_STEP.values()], ids=lambda m: m.name
)
def test_every_measure_stands_there_with_its_tier(measure):
    assert ROWS[measure.name][1:] == [measure.meaning.replace("|", "/"), measure.tier]
