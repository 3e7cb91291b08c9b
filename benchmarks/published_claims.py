"""Measure the claims of the published study about batching, each with an interval.

Events and work items run in 12 rounds, in turns, and the servers keep running. Claims
about languages are those of ``pytest --pyargs pytest_pipeline.suite.languages``.

    python benchmarks/published_claims.py [--events 200000] [--iterations 1000000]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.transport.environment import configure_process

# Before gRPC and numpy are imported.
configure_process()

from pipeline.accounting import RunReport  # noqa: E402
from pipeline.batching import BatchLimits  # noqa: E402
from pipeline.engines.base import RunSettings  # noqa: E402
from pipeline.engines.monolith import MonolithEngine  # noqa: E402
from pipeline.engines.split import SplitEngine  # noqa: E402
from pipeline.transport.processes import StageServers  # noqa: E402
from pipeline.workloads.events import EVENTS  # noqa: E402
from pipeline.workloads.events.generate import generate_events  # noqa: E402
from pipeline.workloads.lines import line_source  # noqa: E402
from pipeline.workloads.work_items import WORK_ITEMS, work_item_source  # noqa: E402
from pytest_pipeline.measure.estimation import LOOKS, paired_ratio  # noqa: E402
from pytest_pipeline.measure.rounds import in_turns  # noqa: E402

_ROUNDS = LOOKS[0]
# Events of a run of the split at batch size 1, where each takes a message per leg.
_SINGLE = 500
_ITEMS = 30

Rounds = Mapping[str, Sequence[RunReport]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--iterations", type=int, default=1_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        events = event_rounds(folder, arguments.events)
        items = item_rounds(folder, arguments.iterations)

    def faster(rounds: Rounds, one: str, other: str) -> str:
        return ratio(
            [report.throughput_per_s for report in rounds[one]],
            [report.throughput_per_s for report in rounds[other]],
        )

    shares = [report.ipc_share for report in events["split at 1"]]
    processing = [1 - report.ipc_share for report in items["at 1"]]
    print("events; in brackets what was published:")
    print("  split at 1 × by event (0.57):", faster(events, "split at 1", "by event"))
    print(
        "  split at 100 × by event (1.75):", faster(events, "split at 100", "by event")
    )
    print(
        "  split at 100 × monolith at 100:",
        faster(events, "split at 100", "monolith at 100"),
    )
    print(
        "  split at 100 × split at 1 (3.0):",
        faster(events, "split at 100", "split at 1"),
    )
    print("  IPC share of split at 1 (0.85):", ratio(shares, [1.0] * _ROUNDS))
    print(f"work items of {arguments.iterations:,} iterations:")
    print(
        "  processing's share at 1 (0.87 to 0.92):", ratio(processing, [1.0] * _ROUNDS)
    )
    print("  split at 10 × split at 1:", faster(items, "at 10", "at 1"))


def event_rounds(folder: Path, events: int) -> Rounds:
    """Run the split and the monolith on events, at batch sizes 1 and 100."""
    path = folder / "events.ndjson"
    with path.open("wb") as file:
        file.writelines(generate_events(events, seed=1, users=1000))
    settings = RunSettings(
        workload=EVENTS,
        source=line_source(path),
        input=str(path),
        output=folder / "totals.ndjson",
    )
    folders = {"ingest": [folder], "sink": [folder]}
    with StageServers(EVENTS.name, EVENTS.stage_names, folders=folders) as servers:
        split, monolith = SplitEngine(servers.addresses), MonolithEngine()
        return rounds_of(
            {
                name: lambda engine=engine, size=size, most=most: engine.run(  # type: ignore[misc]
                    replace(settings, limits=BatchLimits(size), max_records=most)
                )
                for name, engine, size, most in (
                    ("split at 1", split, 1, _SINGLE),
                    ("split at 100", split, 100, events // 5),
                    ("by event", monolith, 1, events // 20),
                    ("monolith at 100", monolith, 100, events),
                )
            }
        )


def item_rounds(folder: Path, iterations: int) -> Rounds:
    """Run the split on CPU-bound work items, at batch sizes 1 and 10."""
    settings = RunSettings(
        workload=WORK_ITEMS,
        source=work_item_source(_ITEMS, iterations=iterations),
        input="",
        output=folder / "items.ndjson",
    )
    with StageServers(
        WORK_ITEMS.name, WORK_ITEMS.stage_names, folders={"sink": [folder]}
    ) as servers:
        engine = SplitEngine(servers.addresses)
        return rounds_of(
            {
                f"at {size}": lambda size=size: engine.run(  # type: ignore[misc]
                    replace(settings, limits=BatchLimits(size))
                )
                for size in (1, 10)
            }
        )


def rounds_of(runs: Mapping[str, Callable[[], RunReport]]) -> Rounds:
    """Return the reports of each run, after one that warms up."""
    for run in runs.values():
        run()
    return in_turns(runs, _ROUNDS)


def ratio(values: Sequence[float], others: Sequence[float]) -> str:
    """Return the ratio of paired rounds, with its 99 % interval."""
    found = paired_ratio(values, others)
    return f"{found.value:.3g} ({found.low:.3g} to {found.high:.3g})"


if __name__ == "__main__":
    main()
