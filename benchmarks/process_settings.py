"""Measure what the settings of our processes gain, each against a run without it.

Interleaves whole runs with and without a setting, and prints the median of the ratios
of throughput and of CPU time, and the peak memory of any process.

    python benchmarks/process_settings.py [--rounds 12]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import msgspec

from pipeline.accounting import RunReport
from pytest_pipeline.measure.rounds import in_turns

# Events at each batch size, for runs of a second or two.
_SIZES = {1: 4_000, 100: 200_000, 1000: 1_000_000, 5000: 1_000_000}
#: What is in the environment of a run without the setting.
_WITHOUT = {
    # An empty value keeps gRPC's default; unset, this project sets it.
    "gRPC's event engine off": {"GRPC_EXPERIMENTS": ""},
    # Glibc's own default, but a sign that the user tunes the allocator.
    "freed memory kept": {"MALLOC_PERTURB_": "0"},
    # Has Python import `_NO_BATCH_POLICY` at its start.
    "waiting for turns": {"PYTHONPATH": "{folder}"},
}
_NO_BATCH_POLICY = "import os\ndel os.SCHED_BATCH\n"
_MIB = 2**20


def run(folder: Path, batch_size: int, environment: dict[str, str]) -> RunReport:
    """Run the split in processes of its own, and return the report."""
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
    return msgspec.json.decode(report.read_bytes(), type=RunReport)


def cpu_s(report: RunReport) -> float:
    """Return the CPU seconds of all processes."""
    return report.cpu_s + sum(stage.cpu_s for stage in report.stages.values())


def peak_mib(report: RunReport) -> float:
    """Return the most memory that any process had resident."""
    stages = (stage.peak_rss_bytes for stage in report.stages.values())
    return max(report.peak_rss_bytes, *stages) / _MIB


def main() -> None:
    """Measure and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=12)
    arguments = parser.parse_args()

    from pipeline.workloads.events.generate import generate_events

    variables = {name for without in _WITHOUT.values() for name in without}
    plain = {name: value for name, value in os.environ.items() if name not in variables}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "events.ndjson").open("wb") as file:
            file.writelines(generate_events(max(_SIZES.values()), seed=1, users=1000))
        (folder / "sitecustomize.py").write_text(_NO_BATCH_POLICY)
        for setting, without in _WITHOUT.items():
            print(f"{setting}:")
            changed = {
                each: value.format(folder=folder) for each, value in without.items()
            }
            for batch_size in _SIZES:
                sides = {
                    "with": partial(run, folder, batch_size, plain),
                    "without": partial(run, folder, batch_size, {**plain, **changed}),
                }
                reports = in_turns(sides, arguments.rounds)
                pairs = list(zip(*reports.values(), strict=True))
                speeds = [a.throughput_per_s / b.throughput_per_s for a, b in pairs]
                cpu = [cpu_s(a) / cpu_s(b) for a, b in pairs]
                peaks = [max(map(peak_mib, side)) for side in reports.values()]
                print(
                    f"  batch size {batch_size:>5,}: {spread(speeds)}, CPU "
                    f"{spread(cpu)}, peak {peaks[0]:.0f} MiB, without {peaks[1]:.0f}",
                    flush=True,
                )


def spread(ratios: list[float]) -> str:
    """Return the median of ratios, with their ends."""
    return f"{statistics.median(ratios):.2f} × ({min(ratios):.2f} to {max(ratios):.2f})"


if __name__ == "__main__":
    main()
