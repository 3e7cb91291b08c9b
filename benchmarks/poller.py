"""Measure what it gains to run gRPC without its event engine.

Interleaves whole runs with and without the setting, and prints the median of the
throughput ratios of the rounds.

    python benchmarks/poller.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

# Events at each batch size, for runs of some seconds.
_SIZES = {1: 5_000, 100: 200_000, 1000: 1_000_000}


def throughput(folder: Path, batch_size: int, experiments: str | None) -> float:
    """Return the events per second of one run."""
    environment = dict(os.environ)
    environment.pop("GRPC_EXPERIMENTS", None)
    if experiments is not None:
        environment["GRPC_EXPERIMENTS"] = experiments
    report = folder / "report.json"
    subprocess.run(  # noqa: S603 - our own command
        [
            *(sys.executable, "-m", "pipeline", "run", str(folder / "events.ndjson")),
            *("--output", str(folder / "totals.ndjson"), "--report", str(report)),
            *("--batch-size", str(batch_size)),
            *("--max-events", str(_SIZES[batch_size])),
        ],
        env=environment,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return float(json.loads(report.read_text())["throughput_per_s"])


def main() -> None:
    """Measure and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()

    from pipeline.workloads.events.generate import generate_events

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "events.ndjson").open("wb") as file:
            file.writelines(generate_events(max(_SIZES.values()), seed=1, users=1000))
        for batch_size in _SIZES:
            ratios = []
            for _ in range(arguments.rounds):
                # An empty value keeps gRPC's default; unset, this project sets it.
                own = throughput(folder, batch_size, None)
                ratios.append(own / throughput(folder, batch_size, ""))
            print(
                f"batch size {batch_size:>4}: {statistics.median(ratios):.2f} × "
                f"({min(ratios):.2f} to {max(ratios):.2f})"
            )


if __name__ == "__main__":
    main()
