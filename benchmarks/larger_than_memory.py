"""Whether a parquet folder larger than the memory allowed is trained on within that memory.

    python benchmarks/larger_than_memory.py [--gigabytes 2] [--memory 1G] [--json FILE]

Makes a folder of parquet files of noise, which no codec makes smaller, with a target that can be
learned, runs `talweg compare` on it as a process of its own, and says how long that took and the
largest resident set of any of its processes. Exits with 1 if that was over the limit.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

GROUP = 50_000
"""Rows in a row group."""
COMPARISON = [
    *("--target", "y", "--epochs", "1", "--batch-size", "256", "--hidden", "32"),
    *("--rules", "sgd,adam", "--lrs", "0.001,0.003,0.01", "--tune-seeds", "1", "--seeds", "2"),
]


def make(folder: Path, size: float, features: int, files: int) -> int:
    """Writes a table of about ``size`` bytes; how many rows it has."""
    names = [f"x{place}" for place in range(features)]
    rows = int(size / (8 * (features + 1)))
    draw = np.random.default_rng(0)
    weights = draw.normal(size=features) / features**0.5
    schema = pa.schema([(name, pa.float64()) for name in (*names, "y")])
    for number, left in enumerate(len(part) for part in np.array_split(np.empty(rows), files)):
        path = folder / f"part-{number:03}.parquet"
        with parquet.ParquetWriter(path, schema, use_dictionary=False) as writer:
            for begin in range(0, left, GROUP):
                x = draw.normal(size=(min(GROUP, left - begin), features))
                y = np.tanh(x @ weights) + 0.3 * draw.normal(size=len(x))
                writer.write_table(
                    pa.Table.from_arrays([*map(pa.array, x.T), pa.array(y)], schema=schema)
                )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--features", type=int, default=64)
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--memory", default="1G")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as top:
        folder = Path(top) / "table"
        folder.mkdir()
        rows = make(folder, asked.gigabytes * 1e9, asked.features, asked.files)
        size = sum(path.stat().st_size for path in folder.iterdir())
        print(f"{rows:,} rows × {asked.features} features, {size / 1e9:.2f} GB of parquet")
        command = [sys.executable, "-m", "talweg", "compare", str(folder), *COMPARISON]
        began = time.perf_counter()
        process = subprocess.Popen(
            [*command, "--memory", asked.memory, "--out", str(Path(top) / "run")]
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
    # After the run: what this process holds at the start of another counts as that one's.
    from run import provenance

    from talweg.core import memory_size

    limit = memory_size(asked.memory)
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    found = {
        "rows": rows,
        "features": asked.features,
        "parquet bytes": size,
        "bytes as float32": 4 * rows * asked.features,
        "limit": limit,
        "peak resident bytes": peak,
        "seconds": round(seconds, 1),
        "processor seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "status": os.waitstatus_to_exitcode(status),
    }
    print(f"{seconds:.0f} s, peak {peak / 1e6:,.0f} MB of {limit / 1e6:,.0f} MB allowed")
    if asked.json:
        asked.json.write_text(json.dumps({**provenance(), **found}, indent=1) + "\n")
    if found["status"] != 0 or peak > limit:
        sys.exit(1)


if __name__ == "__main__":
    main()
