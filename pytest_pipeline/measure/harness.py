"""The benchmark harness: a session's engines and datasets, each made once."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.accounting import RunReport
from pipeline.batching import AUTO
from pipeline.engines.split import SplitEngine
from pipeline.stages import INGEST, SINK
from pipeline.tuning.calibration import CPU_BOUND_SHARE, calibrated_iterations
from pipeline.workload import Workload
from pipeline.workloads import workload_named
from pytest_pipeline.measure.checked_runs import CheckedRuns
from pytest_pipeline.measure.dataset import Dataset, dataset_of
from pytest_pipeline.measure.references.arrivals import Arrivals, arrivals_of
from pytest_pipeline.measure.references.floor import floor_of
from pytest_pipeline.measure.references.piped_arrivals import (
    arrivals_by_pipe,
    arrives_by_pipe,
)
from pytest_pipeline.options import PipelineSettings, Transport
from pytest_pipeline.records.data import data_of
from pytest_pipeline.servers.handle import Server
from pytest_pipeline.servers.pool import ServerPool
from pytest_pipeline.servers.runs import split_engine
from pytest_pipeline.servers.specification import stage_specs

_CALIBRATION_ITEMS = 30
_CAPACITY_RUNS = 3
# Records that arrive at least, so that the 99th percentile is not the slowest one.
_FEWEST = 1000
# Added to the share that is calibrated for, since it varies between runs.
_CALIBRATION_MARGIN = 0.02


class Harness:
    """The engines and datasets of a session, each made once.

    Stage servers always run in processes of their own: in threads of one process there
    would be no cost between stages to measure.

    Args:
        pool: Starts the stage servers.
        settings: Of the session.
        folder: A folder that the servers of ``pool`` may read and write.

    Raises:
        UsageError: The file that the settings take records from can't be read.
    """

    def __init__(
        self,
        pool: ServerPool,
        settings: PipelineSettings,
        folder: Path,
    ) -> None:
        self._pool = pool
        self.settings = replace(settings, servers="subprocess")
        self.folder = folder
        self._data = data_of(settings)
        self._runs: dict[tuple[object, ...], CheckedRuns] = {}
        self._records: dict[tuple[str, int], int] = {}
        self._capacity: dict[str, float] = {}

    def runs(self, workload: str, **options: object) -> CheckedRuns:
        """Return the checked runs of a workload.

        Args:
            workload: Its name.
            **options: Of its records, such as ``iterations`` of work items.
        """
        key = (workload, *sorted(options.items()))
        if key not in self._runs:
            dataset = dataset_of(
                workload_named(workload), self.folder, self._data, options
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
        """Return the split on servers of this session; start those that do not run.

        Args:
            workload: Its name; or a floor workload, which ``--pipeline-stage`` does not
                apply to.
            transport: That of the settings by default.
            replicas: Servers of each stage that has more than one.
        """
        settings = self.settings
        if transport is not None:
            settings = replace(settings, transport=transport)
        if isinstance(workload, str):
            workload = workload_named(workload)
        else:
            settings = replace(settings, stage=())
        specs = stage_specs(settings, workload, replicas=replicas or {})
        return split_engine(self._pool.shared(specs))

    def servers_in(self, stages: str, workload: str) -> dict[str, Server]:
        """Return servers of a workload, by stage; start those that do not run.

        Args:
            stages: The languages of the stages, as `programs_of` reads them.
            workload: Its name. ``--pipeline-stage`` does not apply.

        Raises:
            UsageError: A language serves no stage of the workload, or is not built.
        """
        specs = stage_specs(
            replace(self.settings, stages=stages, stage=()), workload_named(workload)
        )
        return {server.name: server for server in self._pool.shared(specs)}

    def arrivals(self, workload: str, batch_size: int, records: int) -> Arrivals:
        """Run with records arriving at the rate of the settings; see `arrivals_of`."""
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

    def arrivals_at_load(self, workload: str, share: float, seconds: float) -> Arrivals:
        """Run at batch size auto with lines arriving at a share of the capacity.

        The capacity is the throughput of the whole input; it is measured once. Skips
        the test if the records of the workload are no lines.

        Args:
            workload: Its name.
            share: Of the capacity, above 0 and up to 1.
            seconds: For how long lines arrive, if the input has as many.
        """
        runs = self.runs(workload)
        dataset = runs.dataset
        if not arrives_by_pipe(dataset) or not dataset.available:
            pytest.skip(f"latency by load needs lines of a file; {workload} has none")
        servers = self._pool.shared(stage_specs(self.settings, dataset.workload))
        if workload not in self._capacity:
            engine = split_engine(servers)
            self._capacity[workload] = statistics.median(
                runs.run(engine, AUTO, dataset.available).throughput_per_s
                for _ in range(_CAPACITY_RUNS)
            )
        rate_per_s = share * self._capacity[workload]
        return arrivals_by_pipe(
            dataset,
            servers,
            self.folder,
            rate_per_s=rate_per_s,
            batch_size=AUTO,
            records=min(dataset.available, max(_FEWEST, int(rate_per_s * seconds))),
        )

    def records(self, workload: str, batch_size: int) -> int:
        """Return the number of records for a run of the split that is long enough.

        Its length is ``--pipeline-run-seconds``. Skips the test if the input has too
        few records for a batch.
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
        """Skip the test if the input has too few records for a batch."""
        available = self.runs(workload).dataset.available
        if available is not None and available < batch_size:
            pytest.skip(
                f"batch size {batch_size}: the input of {workload} has only "
                f"{available} records"
            )

    def floor(self, report: RunReport) -> tuple[CheckedRuns, SplitEngine]:
        """Return the floor of a run of the split: its runs, and its engine.

        Raises:
            UsageError: The report has no bytes, such as the monolith's.
        """
        workload, source = floor_of(report)
        runs = CheckedRuns(Dataset(workload, lambda _: source), self.folder)
        return runs, self.split(workload)

    def busiest_stage(self, report: RunReport) -> str:
        """Return the transform stage that spent most time in processing."""
        return max(
            (name for name in report.stages if name not in (INGEST, SINK)),
            key=lambda name: report.stages[name].seconds.process,
        )

    def cpu_bound_iterations(self) -> int:
        """Return the iterations of work items at which a run is CPU-bound.

        That is at batch size 1, by `CPU_BOUND_SHARE`.

        Raises:
            PipelineError: No number of iterations is enough.
        """
        engine = self.split("work-items")

        def ipc_share(iterations: int) -> float:
            runs = self.runs("work-items", iterations=iterations)
            return runs.run(engine, 1, _CALIBRATION_ITEMS).ipc_share

        return calibrated_iterations(ipc_share, CPU_BOUND_SHARE + _CALIBRATION_MARGIN)
