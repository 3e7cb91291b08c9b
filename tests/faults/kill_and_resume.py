"""Kill runs with a checkpoint at random moments, and resume them.

``python -m tests.faults.kill_and_resume --kills 50`` kills the orchestrator as often by
SIGKILL, resumes it with the same command, and compares what is published in the end.
A run that comes to its end is followed by another. Batches that were in the result but
in no checkpoint at a kill have to be repeated. The exit code is 1 if bytes differ, or
if more batches are repeated than there are between two checkpoints.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from pipeline.accounting import Progress
from pipeline.v1.events_pb2 import Totals
from pipeline.workloads.events import EVENTS
from pipeline.workloads.events.aggregate import TotalsByType
from pipeline.workloads.events.generate import generate_events

#: The variable of the environment that names the file of `CountedTotals`.
VARIABLE = "PIPELINE_TEST_BATCHES"

#: In the order in which they are published.
_PUBLISHED = ("out", "rejects")

_LOOK_S = 0.01


class CountedTotals(TotalsByType):
    """The result of `events`, which counts its batches in a file.

    What is in the file survives SIGKILL.
    """

    def __init__(self) -> None:
        super().__init__()
        self._batches = 0
        self._file = os.open(os.environ.get(VARIABLE, os.devnull), os.O_WRONLY)

    def add(self, totals: Totals, /) -> bytes:
        """Add totals, and count them."""
        written = super().add(totals)
        self._batches += 1
        os.pwrite(self._file, b"%9d" % self._batches, 0)
        return written


WORKLOAD = replace(EVENTS, new_result=CountedTotals)


@dataclass
class Counts:
    """What came of the attempts."""

    kills: int = 0
    completed: int = 0
    differing: int = 0
    #: At each kill, the batches in the result that were in no checkpoint.
    repeated: list[int] = field(default_factory=list)


class Runs:
    """One command, that is killed and repeated in a folder.

    Args:
        folder: Has the input, ``in``.
        every: The number of batches from one checkpoint to the next.
        batch_size: The batch size.
    """

    def __init__(self, folder: Path, every: int, batch_size: int) -> None:
        self._folder = folder
        self._batches = folder / "batches"
        self._batches.write_bytes(b"0")
        words = f"""run in --output out --rejects rejects --batch-size {batch_size}
            --workload {__spec__.name}:WORKLOAD"""
        self._command = [sys.executable, "-m", "pipeline", *words.split()]
        self._resumable = [
            *self._command,
            *("--checkpoint", "progress", "--checkpoint-every", str(every)),
        ]
        self._environment = os.environ | {
            VARIABLE: str(self._batches),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        self.counts = Counts()

    def whole(self) -> None:
        """Run without a checkpoint, and keep what is published."""
        self._start([*self._command, "--engine", "monolith"]).wait()
        for name in _PUBLISHED:
            (self._folder / name).rename(self._folder / f"{name}.expected")

    def attempt(self, batches: int, delay_s: float = 0.0) -> None:
        """Run or resume, and kill the run unless it comes to its end before.

        Args:
            batches: How many batches it may add to the result.
            delay_s: How long it goes on after that.
        """
        before = self._stored()
        self._batches.write_bytes(b"0")
        process = self._start(self._resumable)
        while process.poll() is None and self._added() < batches:
            time.sleep(_LOOK_S)
        try:
            status = process.wait(delay_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            self.counts.kills += 1
            if not (self._folder / _PUBLISHED[-1]).exists():
                repeated = before + self._added() - self._stored()
                self.counts.repeated.append(repeated)
                return
            status = 0  # it was killed after it had published
        self.counts.completed += 1
        if status or not all(map(self._is_same, _PUBLISHED)):
            self.counts.differing += 1

    def _added(self) -> int:
        """Return how many batches the present attempt has added to the result."""
        return int(self._batches.read_bytes())

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _stored(self) -> int:
        """Return the number of batches in the last checkpoint."""
        path = self._folder / "progress" / "checkpoint.sqlite"
        if not path.exists():
            return 0
        with closing(sqlite3.connect(path)) as database:
            try:
                row = database.execute("SELECT counts FROM progress").fetchone()
            except sqlite3.OperationalError:
                return 0  # it was killed before it had made its tables
        return msgspec.json.decode(row[0], type=Progress).batches if row else 0

    def _is_same(self, name: str) -> bool:
        """Compare a published file with that of the whole run, and remove it."""
        path = self._folder / name
        expected = (self._folder / f"{name}.expected").read_bytes()
        same = path.exists() and path.read_bytes() == expected
        path.unlink(missing_ok=True)
        return same


def main() -> int:
    """Kill and resume as often as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--checkpoint-every", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    every = arguments.checkpoint_every
    draw = random.Random(arguments.seed)  # noqa: S311 - it is no secret

    folder = Path(tempfile.mkdtemp(prefix="kill-and-resume-"))
    try:
        with (folder / "in").open("wb") as file:
            file.writelines(
                generate_events(arguments.events, seed=1, users=1000, malformed=0.01)
            )
        runs = Runs(folder, every, arguments.batch_size)
        counts = runs.counts
        runs.whole()
        # About three kills come to a run.
        most = arguments.events // arguments.batch_size // 2
        while counts.kills < arguments.kills:
            runs.attempt(draw.randint(0, most), draw.uniform(0, 2 * _LOOK_S))
            say(f"{counts.kills} kills, {counts.completed} runs that came to their end")
        runs.attempt(sys.maxsize)
    finally:
        shutil.rmtree(folder)
    repeated = max(counts.repeated, default=0)
    say(
        f"{counts.kills} kills, {counts.completed} runs of {arguments.events:,} events "
        f"came to their end, {counts.differing} with other bytes; at most {repeated} "
        f"batches were repeated, with {every} between checkpoints"
    )
    return int(counts.differing > 0 or repeated > every)


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
