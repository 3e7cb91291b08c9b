"""The runs of `pipeline demo`: all of one workload must give the same result."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.accounting import RunReport
from pipeline.batching import BatchLimits
from pipeline.cli.progress import Schedule, steps
from pipeline.engines.base import Engine, RunSettings
from pipeline.errors import ConservationError
from pipeline.workloads.events import EVENTS
from pipeline.workloads.events.generate import generate_events
from pipeline.workloads.lines import line_source


@dataclass
class DemoRuns:
    """Runs of one workload; those of equally many records must have equal results."""

    settings: RunSettings
    schedule: Schedule
    results: dict[int, bytes] = field(default_factory=dict)

    def run(
        self, engine: Engine, batch_size: int, what: str, records: int = 0
    ) -> RunReport:
        """Run the first ``records``, or all for 0.

        Raises:
            ConservationError: The result differs from that of an earlier run.
        """
        with steps() as show:
            show(f"{what}, batch size {batch_size:,}; {self.schedule}")
            report = engine.run(
                replace(
                    self.settings,
                    limits=BatchLimits(records=batch_size),
                    max_records=records,
                )
            )
        result = self.settings.output.read_bytes()
        if self.results.setdefault(records, result) != result:
            raise ConservationError(
                f"{what} at batch size {batch_size} gave another result than the "
                f"runs before"
            )
        return report


def runs_of_events(events: int, folder: Path, schedule: Schedule) -> DemoRuns:
    """Return runs over a file of events, which is made in ``folder``."""
    path = folder / "events.ndjson"
    with path.open("wb") as file:
        file.writelines(generate_events(events, seed=1, users=1000))
    return DemoRuns(
        RunSettings(
            workload=EVENTS,
            source=line_source(path),
            input=str(path),
            output=folder / "totals.ndjson",
        ),
        schedule,
    )
