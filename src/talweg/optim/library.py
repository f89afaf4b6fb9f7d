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
import weakref
from collections.abc import Callable
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


@functools.cache
def folder() -> Path:
    """Where compiled steps are kept: ``$TALWEG_CACHE``, or ``talweg`` in the user's cache."""
    given = os.environ.get("TALWEG_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    chosen = Path(given) if given else Path(base) / "talweg"
    try:
        chosen.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=chosen):
            return chosen
    except OSError:
        own = Path(tempfile.mkdtemp(prefix="talweg-"))
        atexit.register(shutil.rmtree, own, ignore_errors=True)
        return own


class Library:
    """A function ``step`` that is compiled in a process of its own while this one goes on.

    Args:
        source: C++ that defines it as ``extern "C"``.

    Attributes:
        failure: What went wrong, in one line.
    """

    def __init__(self, source: str) -> None:
        self.failure: str | None = None
        self._step: Callable[..., None] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        command = compiler()
        if command is None:
            self.failure = "no C++ compiler found"
            return
        said = "\n".join((*command, _processor(), source))
        self._path = folder() / f"step-{hashlib.sha256(said.encode()).hexdigest()[:24]}.so"
        if self._path.exists():
            self._load()
            if self._step is not None:
                return
            self.failure = None  # a damaged file: once more
        self._drafts = Path(tempfile.mkdtemp(prefix="draft-", dir=folder()))
        (self._drafts / "step.cpp").write_text(source)
        try:
            with (self._drafts / "said").open("w") as said_there:
                self._process = subprocess.Popen(
                    (*command, "step.cpp", "-o", "step.so"),
                    cwd=self._drafts,
                    stdin=subprocess.DEVNULL,
                    stdout=said_there,
                    stderr=said_there,
                    start_new_session=True,  # Ctrl-C is for the training
                )
        except OSError as error:
            self.failure = str(error)
        self._tidy = weakref.finalize(self, _tidied, self._process, self._drafts)

    def step(self, wait: bool = False) -> Callable[..., None] | None:
        """The function, or None as long as there is none.

        Args:
            wait: Whether to wait for the compiler.
        """
        if self._process is not None and (wait or self._process.poll() is not None):
            self._finish(self._process)
        return self._step

    def _finish(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = None
        if process.wait() == 0:
            (self._drafts / "step.so").replace(self._path)
            self._load()
        else:
            said = (self._drafts / "said").read_text(errors="replace").splitlines()
            lines = [*(line for line in said if "error" in line), *said, "no message"]
            self.failure = f"the C++ compiler failed ({lines[0]})"
        self._tidy()

    def _load(self) -> None:
        try:
            self._step = ctypes.CDLL(str(self._path)).step
            self._step.argtypes = (  # pyright: ignore[reportFunctionMemberAccess]
                ctypes.c_int64,
                ctypes.c_void_p,
                ctypes.c_void_p,
                ctypes.c_void_p,
                ctypes.c_int64,
            )
            self._step.restype = None  # pyright: ignore[reportFunctionMemberAccess]
        except (OSError, AttributeError) as error:
            self.failure = f"a compiled step cannot be loaded ({error})"


def _tidied(process: "subprocess.Popen[bytes] | None", drafts: Path) -> None:
    """Leaves nothing behind, also where training ends before the compiler does."""
    if process is not None and process.poll() is None:
        process.kill()
        process.wait()
    shutil.rmtree(drafts, ignore_errors=True)
