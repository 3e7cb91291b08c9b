"""Engines on the servers of a session, and runs on them that are checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.accounting import RunReport
from pipeline.engines.split import SplitEngine
from pipeline.stages import INGEST, SINK
from pipeline.tuning.calibration import CPU_BOUND_SHARE, calibrated_iterations
from pipeline.workload import Workload
from pipeline.workloads import workload_named
from pytest_pipeline.measure.checked_runs import CheckedRuns
from pytest_pipeline.measure.dataset import Dataset, dataset_of
from pytest_pipeline.measure.references.arrivals import Arrivals, arrivals_of
from pytest_pipeline.measure.references.floor import floor_of
from pytest_pipeline.options import PipelineSettings, Transport
from pytest_pipeline.servers.pool import ServerPool
from pytest_pipeline.servers.runs import split_engine
from pytest_pipeline.servers.specification import stage_specs

# What is calibrated with, and how far past the mark, since no two runs are the same.
_CALIBRATION_ITEMS = 30
_MARGIN = 0.02


class Bench:
    """Datasets and engines, each made once.

    ``data`` is the input of a workload that reads one; ``folder`` is one that the
    servers of ``pool`` may read and write.
    """

    def __init__(
        self,
        pool: ServerPool,
        settings: PipelineSettings,
        folder: Path,
        data: bytes | None,
    ) -> None:
        self._pool = pool
        self.settings = settings
        self.folder = folder
        self._data = data
        self._runs: dict[tuple[object, ...], CheckedRuns] = {}
        self._records: dict[tuple[str, int], int] = {}

    def runs(self, workload: str, **options: object) -> CheckedRuns:
        """Return the runs of a workload, whose records have these options."""
        key = (workload, *sorted(options.items()))
        if key not in self._runs:
            dataset = dataset_of(
                workload_named(workload),
                self.folder,
                None if workload in _MAKE_THEIR_OWN else self._data,
                options,
            )
            self._runs[key] = CheckedRuns(dataset, self.folder)
        return self._runs[key]

    def split(
        self,
        workload: str | Workload,
        *,
        transport: Transport | None = None,
        replicas: Mapping[str, int] | None = None,
    ) -> SplitEngine:
        """Return the split on the servers of this session, started if need be."""
        settings = self.settings
        if transport is not None:
            settings = replace(settings, transport=transport)
        if isinstance(workload, str):
            workload = workload_named(workload)
        else:
            # The floor's: servers that are given serve another.
            settings = replace(settings, stage=())
        specs = stage_specs(settings, workload, replicas=replicas or {})
        return split_engine(self._pool.shared(specs))

    def arrivals(self, workload: str, batch_size: int, records: int) -> Arrivals:
        """Have records arrive at the rate of the settings; see `arrivals_of`."""
        dataset = self.runs(workload).dataset
        servers = self._pool.shared(
            stage_specs(
                self.settings,
                dataset.workload,
                [stage.name for stage in dataset.workload.transforms],
            )
        )
        return arrivals_of(
            dataset.workload,
            dataset.source(records),
            rate_per_s=self.settings.arrival_rate,
            batch_size=batch_size,
            records=records,
            addresses={server.name: server.address for server in servers},
            credentials=next((each.channel_credentials for each in servers), None),
        )

    def records(self, workload: str, batch_size: int) -> int:
        """Return with how many records a run of the split is as long as it should be.

        Skips the test where the input has too few for a batch.
        """
        key = (workload, batch_size)
        if key not in self._records:
            runs = self.runs(workload)
            self.skip_if_too_few(workload, batch_size)
            self._records[key] = runs.records_for(
                self.split(workload), batch_size, self.settings.run_seconds
            )
        return self._records[key]

    def skip_if_too_few(self, workload: str, batch_size: int) -> None:
        """Skip the test where the input has too few records for a batch."""
        available = self.runs(workload).dataset.available
        if available is not None and available < batch_size:
            pytest.skip(
                f"batch size {batch_size}: the input of {workload} has only "
                f"{available} records"
            )

    def floor(self, report: RunReport) -> tuple[CheckedRuns, SplitEngine]:
        """Return runs of as many bytes as a run had, and stages that do nothing."""
        workload, source = floor_of(report)
        runs = CheckedRuns(Dataset(workload, lambda _: source), self.folder)
        return runs, self.split(workload)

    def busiest(self, report: RunReport) -> str:
        """Return the transform stage that processed longest."""
        return max(
            (name for name in report.stages if name not in (INGEST, SINK)),
            key=lambda name: report.stages[name].seconds.process,
        )

    def bound_iterations(self) -> int:
        """Return iterations of work items at which a run is CPU-bound.

        Raises PipelineError where none are found.
        """
        engine = self.split("work-items")

        def ipc_share(iterations: int) -> float:
            runs = self.runs("work-items", iterations=iterations)
            return runs.run(engine, 1, _CALIBRATION_ITEMS).ipc_share

        return calibrated_iterations(ipc_share, CPU_BOUND_SHARE + _MARGIN)


_MAKE_THEIR_OWN: frozenset[Any] = frozenset({"work-items", "mixed"})
