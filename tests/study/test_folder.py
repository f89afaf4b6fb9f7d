"""The run folder: atomic, readable at any moment, and never unpickled."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

import talweg
from talweg.core import write_atomically
from talweg.study.folder import RunFolder, read_metrics


def test_a_folder_holds_its_record_as_soon_as_it_is_there(tmp_path: Path):
    folder = RunFolder.create(tmp_path / "a" / "b", "digits", {"format": 1, "rules": []})
    assert folder.path == tmp_path / "a" / "b"
    assert json.loads((folder.path / "study.json").read_text())["format"] == 1
    assert sorted(entry.name for entry in (tmp_path / "a").iterdir()) == ["b"]


def test_readings_are_appended_file_by_file(tmp_path: Path):
    folder = RunFolder.create(tmp_path / "run", "digits", {})
    folder.add(0, 10, 1.0, "validation", "loss", 0.5)
    folder.flush()
    folder.flush()
    folder.add(1, 20, 2.0, "test", "accuracy", 0.75)
    folder.flush()
    assert sorted(p.name for p in (folder.path / "metrics").iterdir()) == [
        "00001.parquet",
        "00002.parquet",
    ]
    table = read_metrics(folder.path)
    assert table.num_rows == 2
    assert table.column("value").to_pylist() == [0.5, 0.75]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path):
    path = tmp_path / "study.json"
    path.write_text("old")

    def fail(file: object) -> None:  # noqa: ARG001
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["study.json"]


def test_a_folder_in_use_is_refused(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(talweg.UserError, match="is not empty; name another"):
        RunFolder.create(tmp_path, "digits", {})
    with pytest.raises(talweg.UserError, match="is a file; name another"):
        RunFolder.create(tmp_path / "notes.txt", "digits", {})
    with pytest.raises(talweg.UserError, match="cannot write to the output folder"):
        RunFolder.create(tmp_path / "notes.txt" / "run", "digits", {})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "it has no study.json"),
        ("{", "is not a study's record"),
        ("[]", "is not a study's record"),
        ("5", "is not a study's record"),
        ('{"format": 99}', "has format 99; this talweg reads format 2"),
        ('{"format": 2}', "is not a study's record: it has no name, status"),
    ],
)
def test_what_is_no_study_is_told_so(tmp_path: Path, content: str | None, message: str):
    if content is not None:
        (tmp_path / "study.json").write_text(content)
    with pytest.raises(talweg.UserError, match=message):
        talweg.load(tmp_path)


def test_a_folder_that_does_not_exist(tmp_path: Path):
    with pytest.raises(talweg.UserError, match="no such folder"):
        talweg.load(tmp_path / "nowhere")


def test_metrics_are_plain_parquet(tmp_path: Path):
    folder = RunFolder.create(tmp_path / "run", "digits", {})
    folder.add(3, 1, 0.1, "train", "diverged", 1.0)
    folder.flush()
    schema = pa.parquet.read_schema(folder.path / "metrics" / "00001.parquet")
    assert schema.names == ["lane", "step", "epoch", "split", "metric", "value"]


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("study") / "run"
    chosen = {"rules": ["sgd", "adam"], "lrs": [0.1], "seeds": 2, "tune_seeds": 1, "epochs": 3}
    talweg.compare("mlp", "iris", **chosen, progress=False, out=out)
    return out


def copied(folder: Path, to: Path) -> Path:
    return shutil.copytree(folder, to / "copy")


def test_metrics_that_are_gone_are_missed(complete: Path, tmp_path: Path):
    folder = copied(complete, tmp_path)
    sorted((folder / "metrics").iterdir())[-1].unlink()
    with pytest.raises(talweg.UserError, match=r"is damaged: \d+ of its \d+ rows of metrics"):
        talweg.load(folder)


@pytest.mark.parametrize("key", ["lanes", "task", "factors", "status", "machine", "contenders"])
def test_a_record_without_a_part_is_told_so(complete: Path, tmp_path: Path, key: str):
    folder = copied(complete, tmp_path)
    record = json.loads((folder / "study.json").read_text())
    (folder / "study.json").write_text(json.dumps({k: v for k, v in record.items() if k != key}))
    with pytest.raises(talweg.UserError, match=f"it has no {key}"):
        talweg.load(folder)
    (folder / "study.json").write_text(json.dumps(record | {key: 1.5}))
    with pytest.raises(talweg.UserError, match=f"its '{key}' is damaged"):
        talweg.load(folder)


def test_a_checkpoint_that_is_cut_off_or_of_another_rule_is_refused(complete: Path, tmp_path: Path):
    folder = copied(complete, tmp_path)
    study = talweg.load(folder)
    assert study.params(1)
    about = json.loads((folder / "checkpoint" / "winner.json").read_text())
    (folder / "checkpoint" / "winner.json").write_text(json.dumps(about | {"contender": "lion"}))
    with pytest.raises(talweg.UserError, match="holds lion, but the winner is"):
        study.params()
    (folder / "checkpoint" / "winner.json").write_text(json.dumps(about))
    tensors = folder / "checkpoint" / "winner.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:50])
    with pytest.raises(talweg.UserError, match="cannot be read"):
        study.params()


def test_a_folder_that_vanishes_is_told_in_one_line(tmp_path: Path):
    folder = RunFolder.create(tmp_path / "run", "digits", {})
    shutil.rmtree(tmp_path / "run")
    folder.add(0, 1, 0.1, "train", "loss", 1.0)
    with pytest.raises(talweg.UserError, match=r"cannot write to the run folder .*no such file"):
        folder.flush()
