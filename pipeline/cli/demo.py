"""`pipeline demo`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.errors import ConservationError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

BATCH_SIZES = (1, 10, 50, 100, 1000)


@click.command(short_help="See what the split costs and what batching wins back.")
@click.option(
    "--events", default=50_000, show_default=True, help="Events to run each time."
)
def demo(events: int) -> None:
    """Run the monolith and the split at batch sizes 1, 10, 50, 100 and 1000.

    Checks that all results are the same, byte for byte, and prints the table. Takes
    about a minute at its defaults.
    """
    # Here and not above, so that --help need not wait for gRPC.
    from rich.console import Console

    if events < 1:
        raise UsageError(f"--events {events}: must be 1 or more")
    with tempfile.TemporaryDirectory(prefix="pipeline-demo-") as folder:
        _compare(events, Path(folder).resolve(), Console(highlight=False))


def _compare(events: int, folder: Path, console: Console) -> None:
    from pipeline.batching import BatchLimits
    from pipeline.cli.tables import DemoRow, print_demo, working
    from pipeline.engines.base import Engine, RunSettings
    from pipeline.engines.monolith import MonolithEngine
    from pipeline.engines.split import SplitEngine
    from pipeline.report import RunReport
    from pipeline.transport.processes import StageServers
    from pipeline.workloads.events import EVENTS
    from pipeline.workloads.events.generate import generate_events
    from pipeline.workloads.lines import line_source

    path = folder / "events.ndjson"
    with path.open("wb") as file:
        file.writelines(generate_events(events, seed=1, users=1000))
    console.print(f"{events:,} events, {path.stat().st_size / 1e6:.1f} MB")

    results: set[bytes] = set()

    def run(engine: Engine, batch_size: int) -> RunReport:
        output = folder / f"{engine.name}.ndjson"
        settings = RunSettings(
            workload=EVENTS,
            source=line_source(path),
            input=str(path),
            output=output,
            limits=BatchLimits(records=batch_size),
        )
        with working(f"{engine.name}, batch size {batch_size}"):
            report = engine.run(settings)
        results.add(output.read_bytes())
        return report

    folders = {"ingest": [folder], "sink": [folder]}
    with StageServers(EVENTS.name, EVENTS.stage_names, folders=folders) as servers:
        split, monolith = SplitEngine(servers.addresses), MonolithEngine()
        rows = [
            DemoRow(split=run(split, batch_size), monolith=run(monolith, batch_size))
            for batch_size in BATCH_SIZES
        ]
    print_demo(rows, console)
    if len(results) != 1:
        raise ConservationError(f"the runs gave {len(results)} different results")
    console.print("All results are the same, byte for byte:")
    console.print(results.pop().decode().rstrip())
