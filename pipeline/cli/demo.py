"""The command `pipeline demo`."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.errors import ConservationError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.accounting import RunReport
    from pipeline.engines.base import Engine, RunSettings

BATCH_SIZES = (1, 10, 50, 100, 1000)
#: Batch size and replicas of parse in each run of work items.
WORK_RUNS = ((1, 1), (10, 1), (50, 1), (1, 2), (10, 2))

_CALIBRATION_ITEMS = 50


@click.command(short_help="Show what the split costs and what batching wins back.")
@click.option("--events", default=50_000, show_default=True, help="Events in each run.")
@click.option("--items", default=500, show_default=True, help="Work items in each run.")
def demo(events: int, items: int) -> None:
    """Compare the split with the monolith, on light and on CPU-bound work.

    The light work is events. Both engines run them at batch sizes 1, 10, 50, 100 and
    1000.

    The CPU-bound work is work items. The split runs them with one parse server at batch
    sizes 1, 10 and 50, and with two parse servers at 1 and 10.

    The demo prints a table for each. It fails unless all results are byte-identical. It
    takes about two minutes with the default options.

    Exit codes: 0 success, 1 a run failed, 2 wrong usage, 130 interrupted.
    """
    # Imported here so that --help does not load gRPC.
    from rich.console import Console

    for option, count in (("--events", events), ("--items", items)):
        if count < 1:
            raise UsageError(f"{option} {count}: must be 1 or more")
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory(prefix="pipeline-demo-") as name:
        folder = Path(name).resolve()
        _light_work(events, folder, console)
        console.print()
        _cpu_bound_work(items, folder, console)


@dataclass
class _Runs:
    """Runs of one workload that must all have the same result."""

    settings: RunSettings
    result: bytes | None = None

    def run(self, engine: Engine, batch_size: int, what: str) -> RunReport:
        """Run at a batch size; raise ConservationError if the result differs."""
        from pipeline.batching import BatchLimits
        from pipeline.cli.progress import steps

        with steps() as show:
            show(f"{what}, batch size {batch_size}")
            report = engine.run(
                replace(self.settings, limits=BatchLimits(records=batch_size))
            )
        result = self.settings.output.read_bytes()
        if self.result not in (None, result):
            raise ConservationError(
                f"{what} at batch size {batch_size} gave another result than the "
                f"runs before"
            )
        self.result = result
        return report


def _light_work(events: int, folder: Path, console: Console) -> None:
    from pipeline.cli.demo_output import BatchingRow, print_batching
    from pipeline.engines.base import RunSettings
    from pipeline.engines.monolith import MonolithEngine
    from pipeline.engines.split import SplitEngine
    from pipeline.transport.processes import StageServers
    from pipeline.workloads.events import EVENTS
    from pipeline.workloads.events.generate import generate_events
    from pipeline.workloads.lines import line_source

    path = folder / "events.ndjson"
    with path.open("wb") as file:
        file.writelines(generate_events(events, seed=1, users=1000))
    console.print(f"Light work: {events:,} events, {path.stat().st_size / 1e6:.1f} MB")
    runs = _Runs(
        RunSettings(
            workload=EVENTS,
            source=line_source(path),
            input=str(path),
            output=folder / "totals.ndjson",
        )
    )
    folders = {"ingest": [folder], "sink": [folder]}
    with StageServers(EVENTS.name, EVENTS.stage_names, folders=folders) as servers:
        split, monolith = SplitEngine(servers.addresses), MonolithEngine()
        rows = [
            BatchingRow(
                split=runs.run(split, batch_size, "split"),
                monolith=runs.run(monolith, batch_size, "monolith"),
            )
            for batch_size in BATCH_SIZES
        ]
    print_batching(rows, console)
    console.print("All results are the same, byte for byte:")
    console.print((runs.result or b"").decode().rstrip())


def _cpu_bound_work(items: int, folder: Path, console: Console) -> None:
    from pipeline.cli.demo_output import print_replicas
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
        engines = {
            replicas: SplitEngine(
                {**servers.addresses, "parse": servers.addresses["parse"][:replicas]}
            )
            for _, replicas in WORK_RUNS
        }

        def ipc_share(iterations: int) -> float:
            source = work_item_source(records=_CALIBRATION_ITEMS, iterations=iterations)
            probe = _Runs(replace(settings, source=source))
            return probe.run(engines[1], 1, "calibration").ipc_share

        iterations = calibrated_iterations(ipc_share)
        console.print(
            f"CPU-bound work: {items:,} work items of {iterations:,} iterations"
        )
        source = work_item_source(records=items, iterations=iterations)
        runs = _Runs(replace(settings, source=source))
        rows = [
            runs.run(engines[replicas], batch_size, f"{replicas} of parse")
            for batch_size, replicas in WORK_RUNS
        ]
    print_replicas(rows, console)
    console.print("All results are the same, byte for byte. Their last line:")
    console.print((runs.result or b"").decode().splitlines()[-1], soft_wrap=True)
