"""The command `pipeline demo`."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.cli.progress import Schedule

SCENARIOS = ("baseline", "batching", "polyglot", "cpu-bound")
BATCH_SIZES = (1, 10, 50, 100, 1000)
#: Batch size and replicas of parse of the runs of work items.
WORK_RUNS = ((1, 1), (4, 1), (8, 1), (1, 2), (4, 2))
#: The lowest and the highest of six ratios enclose their median with 97 % confidence.
WORK_ROUNDS = 6

_LIGHT_ROUNDS = 3
# At the smallest sizes, runs of fewer events are long enough.
_EVENTS_PER_SIZE = 500
_CALIBRATION_ITEMS = 25
# Seconds that each part takes on two idle cores, to estimate what is left.
_START_S, _LIGHT_S, _CALIBRATION_S, _ROUND_S = 1.0, 2.0, 2.0, 3.0


@click.command(short_help="Show what the split costs and what batching wins back.")
@click.argument("scenario", type=click.Choice(SCENARIOS), required=False)
@click.option(
    "--events",
    default=100_000,
    show_default=True,
    help="Most events in a run. There are fewer at small batch sizes.",
)
@click.option("--items", default=24, show_default=True, help="Work items in a run.")
def demo(scenario: str | None, events: int, items: int) -> None:
    """Compare the split with the monolith, on light and on CPU-bound work.

    SCENARIO selects one comparison. By default, batching and cpu-bound are run, which
    takes under a minute on two cores.

    baseline: both engines run events at batch size 1, three times in turns.

    batching: both run events at batch sizes 1, 10, 50, 100 and 1000, three times in
    turns. Each row has the medians, and is printed once measured.

    cpu-bound: in each of six rounds the split runs work items with one parse server at
    batch sizes 1, 4 and 8, and with two parse servers at 1 and 4. Below the rounds,
    each is compared with the first, with an interval.

    polyglot: the split runs events with all stages in Python, Go, Rust and TypeScript,
    and in several languages, in six rounds at batch sizes 1, 100 and 1000. Stages that
    are not built are built first, where there is a toolchain.

    The demo fails unless all results are byte-identical.

    Exit codes: 0 success, 1 a run failed, 2 wrong usage, 128 + N ended by signal N.
    """
    # Imported here so that --help does not load gRPC.
    from pipeline.cli.demo_polyglot import polyglot
    from pipeline.cli.output import output_console
    from pipeline.cli.progress import Schedule

    for option, count in (("--events", events), ("--items", items)):
        if count < 1:
            raise UsageError(f"{option} {count}: must be 1 or more")
    console = output_console()
    sizes: Sequence[int] = ()
    if scenario == "baseline":
        sizes = BATCH_SIZES[:1]
    elif scenario in (None, "batching"):
        sizes = BATCH_SIZES
    has_work = scenario in (None, "cpu-bound")
    schedule = Schedule(
        bool(sizes) * _START_S
        + len(sizes) * _LIGHT_S
        + has_work * (_START_S + _CALIBRATION_S + WORK_ROUNDS * _ROUND_S)
    )
    with tempfile.TemporaryDirectory(prefix="pipeline-demo-") as name:
        folder = Path(name).resolve()
        if sizes:
            _light_work(sizes, events, folder, console, schedule)
        if sizes and has_work:
            console.print()
        if has_work:
            _cpu_bound_work(items, folder, console, schedule)
        if scenario == "polyglot":
            polyglot(events, folder, console)


def _light_work(
    batch_sizes: Sequence[int],
    events: int,
    folder: Path,
    console: Console,
    schedule: Schedule,
) -> None:
    from pipeline.cli.demo_output import BatchingTable
    from pipeline.cli.demo_runs import runs_of_events
    from pipeline.engines.monolith import MonolithEngine
    from pipeline.engines.split import SplitEngine
    from pipeline.transport.processes import StageServers
    from pipeline.workloads.events import EVENTS

    runs = runs_of_events(events, folder, schedule)
    console.print(f"Light work: up to {events:,} events; {schedule}")
    folders = {"ingest": [folder], "sink": [folder]}
    with StageServers(EVENTS.name, EVENTS.stage_names, folders=folders) as servers:
        schedule.advance(_START_S)
        split, monolith = SplitEngine(servers.addresses), MonolithEngine()
        table = BatchingTable(console)
        for size in batch_sizes:
            records = min(events, size * _EVENTS_PER_SIZE)
            pairs = [
                (
                    runs.run(split, size, "split", records),
                    runs.run(monolith, size, "monolith", records),
                )
                for _ in range(_LIGHT_ROUNDS)
            ]
            schedule.advance(_LIGHT_S)
            table.add(
                [report for report, _ in pairs],
                [report for _, report in pairs],
                schedule,
            )
    table.explain()
    console.print(
        f"Both engines gave the same results, byte for byte. That of {events:,} events:"
    )
    console.print(runs.results[records].decode().rstrip(), soft_wrap=True)


def _cpu_bound_work(
    items: int, folder: Path, console: Console, schedule: Schedule
) -> None:
    from pipeline.cli.demo_output import WorkTable
    from pipeline.cli.demo_runs import DemoRuns
    from pipeline.engines.base import RunSettings
    from pipeline.engines.split import SplitEngine
    from pipeline.transport.processes import StageServers
    from pipeline.tuning.calibration import calibrated_iterations
    from pipeline.workloads.work_items import WORK_ITEMS, work_item_source

    settings = RunSettings(
        workload=WORK_ITEMS,
        source=work_item_source(records=items),
        input="",
        output=folder / "items.ndjson",
    )
    most = max(replicas for _, replicas in WORK_RUNS)
    stages = [*WORK_ITEMS.stage_names, *["parse"] * (most - 1)]
    with StageServers(WORK_ITEMS.name, stages, folders={"sink": [folder]}) as servers:
        schedule.advance(_START_S)
        engines = {
            replicas: SplitEngine(
                {**servers.addresses, "parse": servers.addresses["parse"][:replicas]}
            )
            for _, replicas in WORK_RUNS
        }

        def ipc_share(iterations: int) -> float:
            source = work_item_source(records=_CALIBRATION_ITEMS, iterations=iterations)
            probe = DemoRuns(replace(settings, source=source), schedule)
            return probe.run(engines[1], 1, "calibration").ipc_share

        iterations = calibrated_iterations(ipc_share)
        schedule.advance(_CALIBRATION_S)
        console.print(
            f"CPU-bound work: {items:,} work items of {iterations:,} iterations; "
            f"{schedule}",
            soft_wrap=True,
        )
        source = work_item_source(records=items, iterations=iterations)
        runs = DemoRuns(replace(settings, source=source), schedule)
        table = WorkTable(WORK_RUNS, console)
        for number in range(WORK_ROUNDS):
            # Every other round goes backwards, so that a machine that slows down
            # favours no run.
            order = WORK_RUNS[:: -1 if number % 2 else 1]
            reports = {
                (size, replicas): runs.run(
                    engines[replicas], size, f"{replicas} parse servers"
                )
                for size, replicas in order
            }
            schedule.advance(_ROUND_S)
            table.add([reports[run] for run in WORK_RUNS], schedule)
    table.compare()
    console.print("All results are the same, byte for byte. Their last line:")
    console.print(runs.results[0].decode().splitlines()[-1], soft_wrap=True)
