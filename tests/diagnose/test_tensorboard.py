"""A watched run in TensorBoard's event files."""

import math
import sys

import pytest

from talweg.core import UserError
from talweg.diagnose import DIAGNOSES, Health
from talweg.diagnose.moment import Moment


def health() -> Health:
    found = Health(list(DIAGNOSES.values()), 20, "light")
    found.losses = [2.0, 1.5, math.nan]
    for step, share in ((0, 0.1), (20, 0.75)):
        values = {"dead": {"encoder.0": share}, "loss": {"": 2.0}, "lr": {"": 0.25}}
        found.add(Moment(step, values))
    return found


def test_event_files_hold_every_measurement_and_finding(tmp_path):
    reason = "tensorboard is not installed"
    pytest.importorskip("tensorboard", reason=reason)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    folder = tmp_path / "board"
    assert health().to_tensorboard(folder) == folder
    read = EventAccumulator(str(folder)).Reload()
    tags = read.Tags()
    assert sorted(tags["scalars"]) == ["dead/encoder.0", "loss", "lr"]

    def scalars(tag: str) -> list[tuple[int, float]]:
        return [(event.step, event.value) for event in read.Scalars(tag)]

    assert scalars("dead/encoder.0") == [(0, pytest.approx(0.1)), (20, 0.75)]
    assert scalars("lr") == [(0, 0.25), (20, 0.25)]
    assert scalars("loss")[:2] == [(0, 2.0), (1, 1.5)]
    assert math.isnan(scalars("loss")[2][1])
    (tag,) = tags["tensors"]
    assert tag.startswith("finding: dead units/encoder.0")
    (event,) = read.Tensors(tag)
    assert event.step == 20
    said = make_ndarray(event.tensor_proto)[0].decode()
    assert "75% of its units are dead" in said
    assert "- a lower learning rate" in said


def test_without_it_there_is_one_line_that_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UserError, match=r"needs tensorboard: pip install 'talweg\[tensorboard\]'"):
        health().to_tensorboard(tmp_path)


def test_a_folder_that_cannot_be_is_told_in_a_line(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*file': file exists"):
        health().to_tensorboard(tmp_path / "file")
    with pytest.raises(UserError, match=r"cannot write '\\x00': embedded null byte"):
        health().to_tensorboard("\0")


@pytest.mark.parametrize("given", ["", 3, None])
def test_what_is_no_path_is_told_in_a_line(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f"the folder is a path, got {given!r}"):
        health().to_tensorboard(given)
    assert list(tmp_path.iterdir()) == []
