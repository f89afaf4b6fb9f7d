"""What the first step costs with an empty cache, and then peak memory beside torch.optim's.

Each case is a process of its own. Run by ``make bench``.
"""

import argparse
import ctypes
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import torch
from optimizers import CASES, SIZES, parameters, shapes_of

from talweg import optim

MANY = [(64, 64), (64,)] * 80


def peak() -> float:
    """Megabytes that this process has had at most; on Linux."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmHWM"))
    return float(line.split()[1]) / 1024


def alone(name: str, how: str) -> dict[str, float]:
    """One process: megabytes at the peak of three steps on 25 M, over what was there before."""
    kind, options = name.partition(" ")[0], CASES[name]
    params = parameters(SIZES["25 M in 5 tensors"], "cpu")
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what was freed is given back
    Path("/proc/self/clear_refs").write_text("5")  # and the peak begins anew
    before = peak()
    if how == "talweg":
        optim.use_compiler(True)
        optimizer = getattr(optim, kind)(params, **options)
    else:
        optimizer = getattr(torch.optim, kind)(params, **options, foreach=False)
    for _ in range(3):
        optimizer.step()
    return {"megabytes": peak() - before}


def first(name: str) -> dict[str, float]:
    """One process with an empty cache: seconds of the first step on 160 tensors."""
    optim.use_compiler(True)
    kind, options = name.partition(" ")[0], CASES[name]
    optimizer = getattr(optim, kind)(parameters(shapes_of(name, MANY), "cpu"), **options)
    begin = time.perf_counter()
    optimizer.step()
    cold = time.perf_counter() - begin
    return {"first": cold}


def asked(cache: str, name: str, how: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, __file__, "--alone", name, "--how", how],
        env=os.environ | {"TALWEG_CACHE": cache}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--alone", default="")
    parser.add_argument("--how", default="")
    parser.add_argument("--json", default="")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    if chosen.alone:
        found = first(chosen.alone) if chosen.how == "first" else alone(chosen.alone, chosen.how)
        print(json.dumps(found))
        return
    rows = {}
    print("| class | peak MB, talweg | torch, foreach=False | ratio | first step, empty cache s |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name in CASES:
        if not shapes_of(name, SIZES["25 M in 5 tensors"]):
            continue
        with tempfile.TemporaryDirectory() as cache:
            cold = asked(cache, name, "first")["first"]
            ours, theirs = (asked(cache, name, how)["megabytes"] for how in ("talweg", "torch"))
        rows[name] = {"talweg": ours, "torch": theirs, "first step": cold}
        ratio = f"{ours / theirs:.2f}" if theirs > 1 else "–"
        print(f"| {name} | {ours:.0f} | {theirs:.0f} | {ratio} | {cold:.2f} |", flush=True)
    if chosen.json:
        Path(chosen.json).write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
