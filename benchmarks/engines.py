"""Find from how many events on a cluster is quicker than one process.

Runs whole commands on files of several sizes, in interleaved rounds: the monolith, and
the engine dask with workers of its own. Prints a table in Markdown: the medians, how
many times as fast dask is by the command and without its start, with 99 % confidence
intervals, and the most memory of the driver. Before that, it prints how long dask takes
from the command to the first part on a worker.

    python benchmarks/engines.py [--workers 2] [--rounds 12] [--events 100000 300000 …]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline.workloads.events.generate import generate_events
from pytest_pipeline.measure.estimation import paired_ratio
from pytest_pipeline.measure.results import Interval
from pytest_pipeline.measure.rounds import in_turns

_EVENTS = (100_000, 300_000, 1_000_000, 3_000_000, 10_000_000)
_MIB = 1024 * 1024
_STARTS = 9
_RUN = (sys.executable, "-m", "pipeline", "run")

# A workload that notes when its first part runs, on the clock of the whole machine.
_STAMP = "PIPELINE_BENCHMARK_STAMP"
_STAMPING = f"""
import os, time
from dataclasses import replace
from pathlib import Path
from pipeline import Lines, Output, stage
from pipeline.v1.events_pb2 import Events
from pipeline.workloads.events import EVENTS
from pipeline.workloads.events.parse import parse as parse_events

def parse(lines: Lines) -> Output[Events]:
    Path(os.environ[{_STAMP!r}]).write_text(str(time.monotonic()))
    return parse_events(lines)

STAMPING = replace(EVENTS, transforms=(stage(parse), *EVENTS.transforms[1:]))
"""


@dataclass(frozen=True)
class _Run:
    """What one command took."""

    elapsed_s: float
    without_start_s: float
    driver_bytes: int
    result: bytes


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=12, help="at least 12")
    parser.add_argument("--events", type=int, nargs="+", default=_EVENTS)
    parser.add_argument("--batch-size", default="auto")
    arguments = parser.parse_args()
    sized = ("--batch-size", arguments.batch_size)
    on_dask = ("--engine", "dask", "--workers", str(arguments.workers), *sized)
    # As in a shell: the compiled code of what a command imports is there.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        starts = [start_of(folder, on_dask) for _ in range(_STARTS)]
        print(
            f"from the command to the first part on a worker: "
            f"{statistics.median(starts):.2f} s "
            f"({min(starts):.2f} to {max(starts):.2f})\n"
        )
        print(
            f"| events | MiB | monolith | dask, {arguments.workers} workers | "
            f"× as fast | without its start | driver's peak |\n"
            f"| ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
        )
        for events in arguments.events:
            path = folder / "events.ndjson"
            with path.open("wb") as file:
                file.writelines(generate_events(events, seed=1, users=1000))
            found = in_turns(
                {
                    "monolith": partial(run, path, ("--engine", "monolith", *sized)),
                    "dask": partial(run, path, on_dask),
                },
                arguments.rounds,
            )
            if len({each.result for runs in found.values() for each in runs}) != 1:
                raise SystemExit(f"{events} events: the results differ")
            print(row(events, path.stat().st_size, **found), flush=True)


def start_of(folder: Path, options: Sequence[str]) -> float:
    """Return the seconds from the command until the first part runs."""
    (folder / "stamping.py").write_text(_STAMPING)
    path, stamp = folder / "one.ndjson", folder / "stamp"
    path.write_bytes(b"".join(generate_events(1, seed=1, users=1)))
    began = time.monotonic()
    subprocess.run(  # noqa: S603 - our own command
        [
            *(*_RUN, str(path), "--output", str(folder / "out"), *options),
            *("--workload", "stamping:STAMPING"),
        ],
        env=os.environ | {_STAMP: str(stamp), "PYTHONPATH": str(folder)},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return float(stamp.read_text()) - began


def run(path: Path, options: Sequence[str]) -> _Run:
    """Run a command on a file."""
    output, report = path.with_name("out"), path.with_name("report")
    began = time.perf_counter()
    subprocess.run(  # noqa: S603 - our own command
        [
            *(*_RUN, str(path), "--output", str(output), *options),
            *("--report", str(report)),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    elapsed_s, told = time.perf_counter() - began, json.loads(report.read_text())
    return _Run(
        elapsed_s,
        told["elapsed_s"],
        told["peak_rss_bytes"],
        output.read_bytes(),
    )


def row(events: int, size: int, monolith: Sequence[_Run], dask: Sequence[_Run]) -> str:
    """Return the row of the table for a file."""
    whole = paired_ratio(
        [each.elapsed_s for each in monolith], [each.elapsed_s for each in dask]
    )
    inner = paired_ratio(
        [each.without_start_s for each in monolith],
        [each.without_start_s for each in dask],
    )
    seconds = [
        statistics.median(each.elapsed_s for each in runs) for runs in (monolith, dask)
    ]
    return (
        f"| {events:,} | {size // _MIB:,} | {seconds[0]:.2f} s | {seconds[1]:.2f} s | "
        f"{_said(whole)} | {_said(inner)} | "
        f"{max(each.driver_bytes for each in dask) // _MIB} MiB |"
    )


def _said(ratio: Interval) -> str:
    return f"{ratio.value:.2f} ({ratio.low:.2f}–{ratio.high:.2f})"


if __name__ == "__main__":
    main()
