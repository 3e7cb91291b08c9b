"""Measure the error rates of the gate, with and without a slowdown in parse.

Each run is a complete gate on a clone of this repository. Runs without a change, and
with a change that costs nothing, must never be red; with 10 % more work in parse, 90 %
must be. The default numbers of runs take about two hours.

    python benchmarks/gate/calibrate.py [--same 20] [--neutral 5] [--slower 10]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from pytest_pipeline.gate.outcome import EXIT_CODES

_ROOT = Path(__file__).parent.parent.parent
_PARSE = Path("pipeline/workloads/events/parse.py")
#: Waits for 10 % of the time of each call, so that every sample is slower.
_TENTH = """

import time as _time

_parse = parse


def parse(lines: Lines) -> Output[Events]:
    began = _time.perf_counter()
    output = _parse(lines)
    until = began + 1.1 * (_time.perf_counter() - began)
    while _time.perf_counter() < until:
        pass
    return output
"""
#: An unused function: it shifts the memory layout, and costs nothing.
_UNCALLED = """

def _uncalled() -> list[int]:
    return [number * number for number in range(1000)]
"""


def outcomes(folder: Path, change: str, runs: int) -> Counter[str]:
    """Run gates in ``folder``, and return how often each outcome occurred."""
    names = {code: outcome for outcome, code in EXIT_CODES.items()}
    found: Counter[str] = Counter()
    for number in range(1, runs + 1):
        began = time.perf_counter()
        done = subprocess.run(  # noqa: S603 - the gate
            [
                *(sys.executable, "-m", "pytest", "benchmarks/gate"),
                *("--pipeline-gate-against", "HEAD~1"),
            ],
            cwd=folder,
            capture_output=True,
            check=False,
            text=True,
        )
        seconds = time.perf_counter() - began
        last = (done.stdout.splitlines() or [""])[-1]
        said = done.stderr.strip() or last
        print(f"{change} {number}/{runs}, {seconds:.0f} s: {said}", flush=True)
        found[names.get(done.returncode, f"exit code {done.returncode}")] += 1
    if found:
        counts = ", ".join(f"{count} {outcome}" for outcome, count in found.items())
        print(f"{change}: {counts}", flush=True)
    return found


def main() -> None:
    """Run the gates, and print their outcomes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--same", type=int, default=20)
    parser.add_argument("--neutral", type=int, default=5)
    parser.add_argument("--slower", type=int, default=10)
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as name:
        clone = Path(name).resolve() / "clone"
        subprocess.run(["git", "clone", "--quiet", _ROOT, clone], check=True)  # noqa: S603, S607 - this repository
        # The gate measures nothing between a commit and itself.
        commit = ["git", "-c", "user.name=gate", "-c", "user.email=gate@localhost"]
        commit += ["commit", "--quiet", "--allow-empty", "--message", "no change"]
        subprocess.run(commit, cwd=clone, check=True)  # noqa: S603 - in the clone
        same = outcomes(clone, "no change", arguments.same)
        parse = clone / _PARSE
        text = parse.read_text()
        parse.write_text(text + _UNCALLED)
        neutral = outcomes(clone, "an unused function", arguments.neutral)
        parse.write_text(text + _TENTH)
        slower = outcomes(clone, "10 % more work in parse", arguments.slower)
    if (
        same["regressed"]
        or neutral["regressed"]
        or slower["regressed"] < 0.9 * arguments.slower
    ):
        sys.exit(1)


if __name__ == "__main__":
    main()
