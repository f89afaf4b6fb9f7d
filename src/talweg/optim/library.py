"""C++ to a function, by the machine's own compiler, kept from one process to the next."""

import atexit
import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

FLAGS = (
    "-std=c++17",
    "-O3",
    "-fPIC",
    "-shared",
    # The same bits as PyTorch's own operations: no fused multiply-add, no reordering.
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
)
ABANDONED = 3600
"""Seconds after which nobody waits for a compiler any more."""


@functools.cache
def compiler() -> tuple[str, ...] | None:
    """The command that compiles C++ here, with its flags, or None."""
    named = os.environ.get("CXX", "").split()
    for command in (named, ["g++"], ["clang++"], ["c++"]):
        if command and shutil.which(command[0]):
            return (*command, *FLAGS, *_of_this_machine())
    return None


def _of_this_machine() -> list[str]:
    """Wide vectors where there are any; OpenMP where compilers have it without more ado."""
    machine, flags = platform.machine().lower(), []
    if machine in ("x86_64", "amd64"):
        # A loop that waits for memory gains nothing from wider ones, and loses on some processors.
        flags += ["-march=native", "-mprefer-vector-width=256"]
    elif platform.system() != "Darwin":
        flags += ["-mcpu=native"]
    return flags if platform.system() == "Darwin" else [*flags, "-fopenmp"]


@functools.cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def folder() -> Path:
    """Where compiled steps are kept: ``$TALWEG_CACHE``, or ``talweg`` in the user's cache.

    A folder of this process alone where that cannot be written.
    """
    try:
        chosen = _wanted()
        chosen.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=chosen):
            return chosen
    except (OSError, RuntimeError):  # no home is a RuntimeError
        return _own_folder()


@functools.cache
def _started_in() -> Path:
    return Path.cwd()


def _wanted() -> Path:
    given, base = os.environ.get("TALWEG_CACHE"), os.environ.get("XDG_CACHE_HOME")
    if given:
        return _started_in() / Path(given).expanduser()
    return (Path(base) if base else Path.home() / ".cache") / "talweg"


@functools.cache
def _own_folder() -> Path:
    own = Path(tempfile.mkdtemp(prefix="talweg-"))
    atexit.register(shutil.rmtree, own, ignore_errors=True)
    return own


def _sweep(place: Path) -> None:
    """Removes the drafts that killed processes left, known by their source and its age."""
    for draft in place.glob("draft-*"):
        with suppress(OSError):  # another process may sweep too, or own the draft
            if time.time() - (draft / "step.cpp").stat().st_mtime > ABANDONED:
                shutil.rmtree(draft, ignore_errors=True)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:24]


class Library:
    """A function ``step`` that is compiled in a process of its own while this one goes on.

    Nothing that goes wrong with it is an error of the training's: `failure` says it.

    Args:
        source: C++ that defines it as ``extern "C"``.

    Attributes:
        failure: What went wrong, in one line.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._start()

    def _start(self) -> None:
        self.failure: str | None = None
        self._step: Callable[..., None] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()
        self._lock = threading.Lock()  # anew after a fork
        command = compiler()
        if command is None:
            self.failure = "no C++ compiler found"
            return
        self._name = _digest("\n".join((*command, _processor(), self._source)).encode())
        try:
            self._folder = folder()
            if not self._load():
                self._compile(command)
        except OSError as error:
            self.failure = str(error)

    def _compile(self, command: Sequence[str]) -> None:
        _sweep(self._folder)
        self._drafts = Path(tempfile.mkdtemp(prefix="draft-", dir=self._folder))
        (self._drafts / "step.cpp").write_text(self._source)
        with (self._drafts / "said").open("w") as said:
            self._process = subprocess.Popen(
                (*command, "step.cpp", "-o", "step.so"),
                cwd=self._drafts,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,  # Ctrl-C is for the training
            )
        self._tidy = weakref.finalize(self, _tidied, self._process, self._drafts, self._owner)

    def step(self, wait: bool = False) -> Callable[..., None] | None:
        """The function, or None as long as there is none.

        Args:
            wait: Whether to wait for the compiler.
        """
        if self._process is None:
            return self._step
        if os.getpid() != self._owner:  # a fork: the compiler is the other process's
            self._tidy.detach()
            self._start()
            return self.step(wait)
        if not self._lock.acquire(blocking=wait):  # another thread sees to it
            return self._step
        try:
            self._settle(wait)
        finally:
            self._lock.release()
        return self._step

    def _settle(self, wait: bool) -> None:
        process = self._process
        if process is not None and (wait or process.poll() is not None):
            process.wait()
            self._finish(process.returncode)
            self._process = None

    def _finish(self, status: int) -> None:
        try:
            made = self._drafts / "step.so"
            if status == 0 and made.is_file():
                named = f"step-{self._name}-{_digest(made.read_bytes())}.so"
                made.replace(self._folder / named)
                if not self._load():
                    self.failure = "a compiled step cannot be loaded"
            else:
                said = (self._drafts / "said").read_text(errors="replace").splitlines()
                lines = [*(line for line in said if "error" in line), *said, "no message"]
                self.failure = f"the C++ compiler failed ({lines[0]})"
        except OSError as error:
            self.failure = f"the C++ compiler's work was lost ({error})"
        self._tidy()

    def _load(self) -> bool:
        """Whether a library is there and sound: its name says what is in it."""
        for path in self._folder.glob(f"step-{self._name}-*.so"):
            if path.is_file() and path.stem.endswith(_digest(path.read_bytes())):
                try:
                    self._step = ctypes.CDLL(str(path)).step
                except (OSError, AttributeError):
                    continue
                self._step.argtypes = (  # pyright: ignore[reportFunctionMemberAccess]
                    ctypes.c_int64,
                    ctypes.c_void_p,
                    ctypes.c_void_p,
                    ctypes.c_void_p,
                    ctypes.c_int64,
                )
                self._step.restype = None  # pyright: ignore[reportFunctionMemberAccess]
                return True
        return False


def _tidied(process: "subprocess.Popen[bytes]", drafts: Path, owner: int) -> None:
    """Leaves nothing behind, also where training ends before the compiler does."""
    if os.getpid() != owner:
        return
    if process.poll() is None:
        process.kill()
        process.wait()
    shutil.rmtree(drafts, ignore_errors=True)
