"""Whether a run folder loads after Ctrl-C and after `kill -9`, at random moments.

    python benchmarks/kill.py [--tries 20] [--within 15] [--seed N]

Every try starts `talweg compare digits` as a process, ends it at a moment of its own, and loads,
ranks and reports what it left. The first try is Ctrl-C after 5 s, the others are kills.
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import talweg


def ended(folder: Path, moment: float, how: signal.Signals) -> int:
    """Starts a comparison, signals it after a number of seconds, and waits; its exit status."""
    command = [sys.executable, "-m", "talweg", "compare", "digits", "--quiet"]
    process = subprocess.Popen(
        [*command, "--out", str(folder)],
        stdout=subprocess.DEVNULL,
        # A shell lets what it runs in the background ignore Ctrl-C, and its children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    time.sleep(moment)
    process.send_signal(how)
    return process.wait()


def left(folder: Path) -> str:
    """What a folder holds; raises if it cannot be loaded, ranked or reported."""
    if not folder.exists():
        return "no folder yet"
    study = talweg.load(folder)
    study.report()
    rows = study.ranking
    kept = f"{len(rows)} rules ranked on {study.ranked_on}" if rows else "nothing measured yet"
    return f"loads: {study.record['status']}, {kept}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tries", type=int, default=20)
    parser.add_argument("--within", type=float, default=15.0, help="seconds")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    asked = parser.parse_args()
    moments = random.Random(asked.seed)
    print(f"seed {asked.seed}")
    with tempfile.TemporaryDirectory() as top:
        for number in range(asked.tries + 1):
            how, moment = signal.SIGINT, 5.0
            if number > 0:
                how, moment = signal.SIGKILL, moments.uniform(0, asked.within)
            folder = Path(top) / str(number)
            status = ended(folder, moment, how)
            print(
                f"{how.name:>7} after {moment:5.2f} s, exit {status:4}: {left(folder)}", flush=True
            )
    print(f"all {asked.tries + 1} folders load")


if __name__ == "__main__":
    main()
