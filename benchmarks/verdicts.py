"""Measure whether the conformance suite gives the same verdicts on a busy machine.

Runs the suite several times on the stages of this package, with every core kept busy,
and compares the verdicts::

    python benchmarks/verdicts.py --runs 10 --workload events
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STAGES = ("ingest", "parse", "rules", "aggregate", "sink")


@contextmanager
def busy_cores() -> Iterator[None]:
    """Keep each core busy with a process that spins."""
    burning = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(os.cpu_count() or 1)
    ]
    try:
        yield
    finally:
        for process in burning:
            process.kill()
            process.wait()


def verdicts(workload: str, folder: Path) -> dict[str, str]:
    """Run the suite once; return the verdict and message of each check."""
    command = [sys.executable, "-m", "pytest", "-q", "--pyargs"]
    command += ["pytest_pipeline.suite.conformance", "--pipeline-workload", workload]
    for stage in STAGES:
        serve = f"{sys.executable} -P -m pipeline serve {stage} --workload {workload}"
        serve += " --bind 127.0.0.1:0 --folder {folder}"
        command += ["--pipeline-stage", f"{stage}={serve}"]
    command += ["--pipeline-conformance-report", str(folder / "verdicts")]
    subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=False)  # noqa: S603 - it is this Python
    stages = json.loads((folder / "verdicts.json").read_text())["stages"]
    return {
        f"{stage} {check['check']}": f"{check['status']} {check['message']}".strip()
        for stage, found in stages.items()
        for check in found["checks"]
    }


def main() -> None:
    """Run the suite and print what differs; exit with 1 if two runs differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--workload", default="events")
    arguments = parser.parse_args()
    runs = []
    with busy_cores(), tempfile.TemporaryDirectory() as name:
        for number in range(arguments.runs):
            started = time.monotonic()
            found = verdicts(arguments.workload, Path(name))
            counts = Counter(verdict.partition(" ")[0] for verdict in found.values())
            shown = ", ".join(f"{count} {status}" for status, count in counts.items())
            print(
                f"run {number + 1}: {shown}, {time.monotonic() - started:.0f} s",
                flush=True,
            )
            runs.append(found)
    differing = {key for key in runs[0] if len({run.get(key) for run in runs}) > 1}
    for key in sorted(differing):
        print(key, Counter(run.get(key) for run in runs))
    print(f"{len(runs[0])} verdicts a run, {len(differing)} of them not the same")
    sys.exit(bool(differing))


if __name__ == "__main__":
    main()
