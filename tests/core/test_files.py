"""Files where users want them."""

import os
from pathlib import Path

import pytest

from talweg.core import UserError, check_place, write_page

WRONG = {
    "no such folder": (
        Path("no") / "x.html",
        "cannot write 'no/x.html': no such file or directory",
    ),
    "in a file": (Path("file") / "x.html", "cannot write 'file/x.html': not a directory"),
    "a folder": (Path("folder"), "cannot write 'folder': is a directory"),
    "this folder": (".", "cannot write '.': is a directory"),
    "no name": ("a\0b", "embedded null byte"),
    "too long": ("x" * 300, "file name too long"),
    "empty": ("", "a file's place is a path, got ''"),
    "a number": (3, "a file's place is a path, got 3"),
    "bytes": (b"x.html", "a file's place is a path, got b'x.html'"),
}


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("old")
    return tmp_path


@pytest.mark.parametrize("name", WRONG)
def test_a_place_that_cannot_be_written_is_told_before_and_then(name: str, inside: Path):
    place, says = WRONG[name]
    with pytest.raises(UserError) as before:
        check_place(place)
    with pytest.raises(UserError) as then:
        write_page(place, "new")
    assert says in str(before.value)
    assert str(before.value) == str(then.value)
    assert sorted(each.name for each in inside.iterdir()) == ["file", "folder"]


@pytest.mark.parametrize("place", ["file", "fresh"])
def test_a_place_that_is_looked_at_stays_as_it_is(place: str, inside: Path):
    check_place(place)
    assert sorted(each.name for each in inside.iterdir()) == ["file", "folder"]
    assert (inside / "file").read_text() == "old"
    assert write_page(place, "new") == Path(place)
    assert (inside / place).read_text() == "new"


def test_a_pipe_is_written_to_and_stays_one(inside: Path):
    pipe = inside / "pipe"
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        check_place(pipe)
        write_page(pipe, "page")
        assert os.read(end, 10) == b"page"
    finally:
        os.close(end)
    assert pipe.is_fifo()
