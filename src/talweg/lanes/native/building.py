"""Building and loading the operators: once on a machine, for its processor."""

import functools
import hashlib
import os
import subprocess
import sysconfig
import tempfile
from pathlib import Path

import torch
from torch.utils.cpp_extension import include_paths, library_paths

from talweg.core import missing_compiler

FOLDER = Path(__file__).parent
FLAGS = ("-std=c++20", "-O3", "-march=native", "-fPIC", "-shared", "-w")


@functools.cache
def load() -> str | None:
    """Loads ``torch.ops.talweg``, built before if need be: some ten seconds.

    Returns:
        Why there are no such operators here, in a few words; None if there are.
    """
    missing = missing_compiler()
    if missing:
        return missing
    try:
        torch.ops.load_library(_built())
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        said = error.stderr if isinstance(error, subprocess.CalledProcessError) else ""
        return (str(said) or str(error)).strip().splitlines()[0][:160]
    _register()
    return None


def _built() -> Path:
    """The library for this source, torch and processor."""
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.runtime.cache_dir_utils import cache_dir

    sources = sorted([*FOLDER.glob("*.h"), *FOLDER.glob("*.cpp")])
    compiler = get_cpp_compiler()
    command = [
        compiler,
        *FLAGS,
        f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}",
        *(f"-I{path}" for path in (*include_paths(), sysconfig.get_path("include"))),
        *(f"-L{path}" for path in library_paths()),
        str(FOLDER / "operators.cpp"),
        "-lc10",
        "-ltorch_cpu",
    ]
    told = [torch.__version__, _processor(compiler), *command, *(s.read_text() for s in sources)]
    name = hashlib.sha256("\0".join(told).encode()).hexdigest()[:24]
    folder = Path(cache_dir()) / "talweg"
    path = folder / f"{name}.so"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        handle, made = tempfile.mkstemp(suffix=".so", dir=folder)
        os.close(handle)
        try:
            subprocess.run([*command, "-o", made], check=True, capture_output=True, text=True)
            Path(made).replace(path)
        finally:
            Path(made).unlink(missing_ok=True)
    return path


def _processor(compiler: str) -> str:
    """What ``-march=native`` stands for here: another machine may share the folder."""
    asked = [compiler, "-march=native", "-dM", "-E", "-x", "c++", os.devnull]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout


def _register() -> None:
    """Tells torch what shapes the operators give."""
    from torch import Tensor
    from torch.library import register_fake

    from talweg.lanes.operators import recur_back_shapes, recur_shapes

    def bmm(a: Tensor, b: Tensor) -> Tensor:
        return a.new_empty(a.shape[0], a.shape[1], b.shape[2])

    def convolution(
        x: Tensor, weight: Tensor, padding: list[int], dilation: list[int], _groups: int
    ) -> Tensor:
        sides = (
            x.shape[2 + i] + 2 * padding[i] - dilation[i] * (weight.shape[2 + i] - 1)
            for i in range(2)
        )
        return x.new_empty(x.shape[0], weight.shape[0], *sides)

    def of_input(_dy: Tensor, x: Tensor, *_rest: object) -> Tensor:
        return x.new_empty(x.shape)

    def of_weight(_dy: Tensor, _x: Tensor, weight: Tensor, *_rest: object) -> Tensor:
        return weight.new_empty(weight.shape)

    def max_pool(x: Tensor, *window: list[int]) -> tuple[Tensor, Tensor]:
        sides = [
            (x.shape[i - 2] + 2 * pad - step * (size - 1) - 1) // stride + 1
            for i, (size, stride, pad, step) in enumerate(zip(*window, strict=True))
        ]
        values = x.new_empty(*x.shape[:-2], *sides)
        return values, values.new_empty(values.shape, dtype=torch.int8)

    def max_pool_backward(dy: Tensor, _taps: Tensor, size: list[int], *_window: object) -> Tensor:
        return dy.new_empty(len(dy), size[0] * size[1])

    register_fake("talweg::bmm", bmm)
    register_fake("talweg::convolution", convolution)
    register_fake("talweg::convolution_input", of_input)
    register_fake("talweg::convolution_weight", of_weight)
    register_fake("talweg::max_pool", max_pool)
    register_fake("talweg::max_pool_backward", max_pool_backward)
    register_fake("talweg::recurrence", recur_shapes)
    register_fake("talweg::recurrence_back", recur_back_shapes)
