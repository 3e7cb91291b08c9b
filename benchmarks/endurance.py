"""Check that an hour at full load leaves memory and descriptors as they were.

Feeds the same events again and again to the standard input of one run, as fast as it
takes them, and looks at each of its processes all the time. Prints the memory and the
descriptors of each, early and late. Exits with 1 if one has grown, or if the result is
not that of the monolith.

    python benchmarks/endurance.py [--seconds 3600] [--batch-size auto]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from threading import Event, Thread
from typing import IO, cast

import psutil

_EVENTS = 100_000
_MIB = 1024 * 1024
_LOOKS = 400
# What memory may grow by: pages that are touched late, not what is leaked all the time.
_MOST_GROWTH = 0.05
_COMMAND = (sys.executable, "-m", "pipeline", "run")


class Watch:
    """Notes the memory and the descriptors of each process of a run."""

    def __init__(self, run: subprocess.Popen[bytes], period_s: float) -> None:
        self.bytes: dict[str, list[int]] = defaultdict(list)
        self.descriptors: dict[str, list[int]] = defaultdict(list)
        self._run = run
        self._period_s = period_s
        self._over = Event()
        self._thread = Thread(target=self._look_until_over)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join()

    def _look_until_over(self) -> None:
        while not self._over.wait(self._period_s):
            self._look()

    def _look(self) -> None:
        driver = psutil.Process(self._run.pid)
        for process in (driver, *driver.children(recursive=True)):
            words = process.cmdline()
            name = words[words.index("serve") + 1] if "serve" in words else "driver"
            self.bytes[name].append(process.memory_info().rss)
            self.descriptors[name].append(process.num_fds())


def feed(run: subprocess.Popen[bytes], block: bytes, seconds: float) -> int:
    """Write a block again and again; return how often."""
    deadline, blocks = time.monotonic() + seconds, 0
    with cast("IO[bytes]", run.stdin) as pipe:
        while time.monotonic() < deadline:
            pipe.write(block)
            blocks += 1
    return blocks


def early_and_late(values: Sequence[int]) -> tuple[float, float]:
    """Return the medians of the second and of the last quarter."""
    quarter = len(values) // 4
    return median(values[quarter : 2 * quarter]), median(values[-quarter:])


def many(result: bytes, times: int) -> list[dict[str, object]]:
    """Return the rows of the result of so many of the same inputs."""
    rows = [json.loads(line) for line in result.splitlines()]
    for row in rows:
        row["count"] *= times
        row["sum"] *= times
    return rows


def main() -> None:
    """Run and print; exit with 1 if something has grown or the result is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--batch-size", default="auto")
    arguments = parser.parse_args()

    from pipeline.workloads.events.generate import generate_events

    failed = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        block = b"".join(generate_events(_EVENTS, seed=1, users=1000, malformed=0.01))
        once, result = folder / "once.ndjson", folder / "totals.ndjson"
        subprocess.run(  # noqa: S603 - our own command
            [*_COMMAND, "-", "--output", str(once), "--engine", "monolith"],
            input=block,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        run = subprocess.Popen(  # noqa: S603 - our own command
            [
                *(*_COMMAND, "-", "--output", str(result)),
                *("--batch-size", arguments.batch_size),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        watch = Watch(run, arguments.seconds / _LOOKS)
        blocks = feed(run, block, arguments.seconds)
        watch.stop()
        if run.wait() != 0:
            failed.append(f"the run ended with exit code {run.returncode}")
        elif many(once.read_bytes(), blocks) != many(result.read_bytes(), 1):
            failed.append("the result is not that of the monolith")
        print(f"{blocks * _EVENTS:,} events in {arguments.seconds:,.0f} s")
        for process, looks in watch.bytes.items():
            early, late = early_and_late(looks)
            before, after = early_and_late(watch.descriptors[process])
            print(
                f"{process:>10}: {early / _MIB:.1f} → {late / _MIB:.1f} MiB, "
                f"{before:.0f} → {after:.0f} descriptors"
            )
            if late > early * (1 + _MOST_GROWTH) or after > before:
                failed.append(f"{process} has grown")
    for line in failed:
        print(f"FAILED: {line}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
