"""Measure what a checkpoint costs: runs with one against runs without, in turns.

Prints for each batch size the ratio of throughput with its 99 % confidence interval,
and whether a checkpoint every 64 batches costs 5 % at most.

    python benchmarks/checkpoints.py [--rounds 12] [--batch-sizes 100,1000,auto]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import msgspec

from pipeline.accounting import RunReport
from pytest_pipeline.measure.results import Interval

_MOST_COST = 0.05
# Events at each batch size, for runs of a second or two; a million at the others.
_EVENTS = {"1": 2_000, "10": 20_000, "100": 200_000}
_MILLION = 1_000_000


def throughput(folder: Path, batch_size: str, *options: str) -> float:
    """Run the split in processes of its own; return the events in a second."""
    report = folder / "report.json"
    subprocess.run(  # noqa: S603 - our own command
        [
            *(sys.executable, "-m", "pipeline", "run", str(folder / "events.ndjson")),
            *("--output", str(folder / "totals.ndjson"), "--report", str(report)),
            *("--rejects", str(folder / "rejects.ndjson")),
            *("--batch-size", batch_size),
            *("--max-events", str(_EVENTS.get(batch_size, _MILLION))),
            *options,
        ],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return msgspec.json.decode(report.read_bytes(), type=RunReport).throughput_per_s


def verdict(ratio: Interval) -> str:
    """Return whether a ratio of throughput shows that the cost is small enough."""
    least = 1 - _MOST_COST
    if ratio.low >= least:
        return f"costs {_MOST_COST:.0%} at most"
    return (
        "inconclusive" if ratio.high >= least else f"costs more than {_MOST_COST:.0%}"
    )


def main() -> None:
    """Measure and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--batch-sizes", default="100,1000,auto")
    arguments = parser.parse_args()

    from pipeline.workloads.events.generate import generate_events
    from pytest_pipeline.measure.estimation import paired_ratio
    from pytest_pipeline.measure.rounds import in_turns

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "events.ndjson").open("wb") as file:
            file.writelines(
                generate_events(_MILLION, seed=1, users=1000, malformed=0.01)
            )
        progress = ("--checkpoint", str(folder / "progress"))
        for batch_size in arguments.batch_sizes.split(","):
            sides = {
                "with": partial(throughput, folder, batch_size, *progress),
                "without": partial(throughput, folder, batch_size),
            }
            found = in_turns(sides, arguments.rounds)
            ratio = paired_ratio(found["with"], found["without"])
            print(
                f"batch size {batch_size:>5}: {ratio.value:.3f} × the throughput "
                f"({ratio.low:.3f} to {ratio.high:.3f}): {verdict(ratio)}",
                flush=True,
            )


if __name__ == "__main__":
    main()
