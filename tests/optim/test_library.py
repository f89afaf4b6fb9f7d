"""The compiler, and what it made: kept, found again, swept; nothing stops the training."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from talweg.optim import library


def test_a_compiler_that_fails_is_told_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("TALWEG_CACHE", str(tmp_path))
    broken = library.Library("this is no C++")
    assert broken.step(wait=True) is None
    assert broken.failure is not None
    assert broken.failure.startswith("the C++ compiler failed (")
    assert "\n" not in broken.failure
    assert not list(tmp_path.iterdir())


def test_a_library_is_kept_for_the_next_process(monkeypatch, tmp_path):
    monkeypatch.setenv("TALWEG_CACHE", str(tmp_path))
    source = 'extern "C" void step() {}'
    assert library.Library(source).step(wait=True) is not None
    monkeypatch.setattr(library.subprocess, "Popen", lambda *_, **__: pytest.fail("compiled again"))
    assert library.Library(source).step() is not None


def test_a_damaged_library_is_made_anew(monkeypatch, tmp_path):
    monkeypatch.setenv("TALWEG_CACHE", str(tmp_path))
    source = 'extern "C" void step() { /* once more */ }'
    assert library.Library(source).step(wait=True) is not None
    (found,) = tmp_path.iterdir()
    content = found.read_bytes()
    for damaged in (b"", content[:1000], content[:4096], b"\x7fELF and then nothing"):
        for path in tmp_path.iterdir():
            path.unlink()  # what is loaded stays mapped
        found.write_bytes(damaged)
        again = library.Library(source)
        assert again.step(wait=True) is not None
        assert again.failure is None


def test_a_cache_that_cannot_be_written_is_no_obstacle(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TALWEG_CACHE", str(tmp_path / "file"))
    assert library.folder().is_dir()


def test_what_a_killed_process_left_is_swept(monkeypatch, tmp_path):
    monkeypatch.setenv("TALWEG_CACHE", str(tmp_path))

    def draft(name: str, seconds: float, file: str = "step.cpp") -> Path:
        path = tmp_path / name
        path.mkdir()
        (path / file).write_text("")
        os.utime(path / file, (time.time() - seconds,) * 2)
        return path

    stuck, old, linked = draft("draft-a", 7200), draft("draft-b", 7200), draft("linked", 7200)
    kept = {stuck, linked, draft("draft-new", 600), draft("draft-thesis", 7200, "thesis.tex")}
    (tmp_path / "draft-link").symlink_to(linked)
    (tmp_path / "draft-file").write_text("")
    asked, remove = [], library.shutil.rmtree

    def removed(path: Path, **options: bool) -> None:
        asked.append(path)
        if path == stuck:
            raise PermissionError(path)
        remove(path, **options)

    monkeypatch.setattr(library.shutil, "rmtree", removed)
    assert library.Library('extern "C" void step() { /* swept */ }').step(wait=True) is not None
    assert stuck in asked
    assert not old.exists()
    assert all(any(path.iterdir()) for path in kept)


def in_a_process(code: str, tmp_path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", "-c", PREPARED + code],
        cwd=tmp_path,
        env=os.environ | {"TALWEG_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"} | env,
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


PREPARED = """
import os, shutil, sys, torch
from torch import nn
from talweg import optim
p = nn.Parameter(torch.ones(4)); p.grad = torch.ones(4)
o = optim.Adam([p])
"""


@pytest.mark.parametrize(
    "code",
    [
        "o.step(); shutil.rmtree('cache'); optim.use_compiler(True); o.step()",
        "o.step(); optim.use_compiler(True); o.step(); shutil.rmtree('cache')\n"
        "optim.SGD([p]).step()",
        "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "optim.use_compiler(True); o.step()",
        "o.step()\nif os.fork() == 0: o.step(); sys.exit(0)\n"
        "assert os.wait()[1] == 0; optim.use_compiler(True); o.step()",
        "os.environ['CXX'] = '/bin/true'; optim.use_compiler(True); o.step()",
        "os.environ['TALWEG_CACHE'] = 'here'; o.step(); os.mkdir('x'); os.chdir('x')\n"
        "optim.use_compiler(True); o.step(); assert os.listdir('../here')",
    ],
    ids=["removed while it compiles", "removed after", "no children", "fork", "no output", "moved"],
)
def test_whatever_happens_to_the_compiler_training_goes_on(code, tmp_path):
    done = in_a_process(code + "\nassert p[0] < 0.9991", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
