"""Runs of the pipeline on the servers of a test session."""

from __future__ import annotations

import inspect
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.accounting import RunReport
from pipeline.batching import BatchSize, limits_of
from pipeline.engines.base import Engine, RunSettings
from pipeline.engines.calls import OnMessage
from pipeline.engines.monolith import MonolithEngine
from pipeline.engines.recovery import NO_RECOVERY
from pipeline.engines.split import SplitEngine
from pipeline.errors import UsageError
from pipeline.workload import Workload
from pipeline.workloads.events.generate import generate_events
from pytest_pipeline.servers.handle import Server


@dataclass(frozen=True)
class PipelineRun:
    """A run that ended: its report, result and rejections."""

    report: RunReport
    #: The result file.
    output: bytes
    #: One JSON object for each rejected record.
    rejections: list[dict[str, Any]]

    @property
    def results(self) -> list[Any]:
        """The lines of the result, parsed as JSON."""
        return [json.loads(line) for line in self.output.splitlines()]


def split_engine(
    servers: Iterable[Server],
    on_message: OnMessage = lambda *_: None,
) -> SplitEngine:
    """Return an engine that runs on these servers; those of one stage are replicas.

    It replaces no server that is lost: a test is to see the failure.
    """
    addresses: dict[str, list[str]] = {}
    credentials = None
    for server in servers:
        addresses.setdefault(server.name, []).append(server.address)
        credentials = credentials or server.channel_credentials
    return SplitEngine(
        addresses,
        recovery=NO_RECOVERY,
        credentials=credentials,
        on_message=on_message,
    )


class PipelineRunner:
    """Runs one workload; the fixture ``run_pipeline`` returns one.

    Args:
        workload: The workload to run.
        batch_size: Records in a batch, or ``auto``, unless a run is given another size.
        events: Records of a run that is given no data.
        folder: Folder for inputs and results; the servers may read and write below it.
        servers: Returns the servers of all stages, given the number of replicas of
            stages that have more than one.
    """

    def __init__(
        self,
        workload: Workload,
        batch_size: BatchSize,
        events: int,
        folder: Path,
        servers: Callable[[Mapping[str, int]], list[Server]],
    ) -> None:
        self._workload = workload
        self._batch_size = batch_size
        self._events = events
        self._folder = folder
        self._servers = servers

    def __call__(
        self,
        data: bytes | str | Path | None = None,
        *,
        batch_size: BatchSize | None = None,
        engine: Literal["split", "monolith"] = "split",
        replicas: Mapping[str, int] | None = None,
        max_records: int = 0,
        **source: object,
    ) -> PipelineRun:
        """Run the pipeline to the end.

        Args:
            data: The input, or the file that has it. The workload ``events`` generates
                its input by default; workloads that make their own records take none.
            batch_size: Records in a batch, or ``auto``; by default, the batch size of
                the test.
            engine: ``split`` or ``monolith``.
            replicas: Number of servers for each stage, for stages with more than one.
            max_records: Stop after this many records; 0 reads all.
            **source: Options of the workload's records, such as ``iterations=500``.

        Returns:
            The run report, the result and the rejections.

        Raises:
            UsageError: The workload does not take such data or options.
            PipelineError: The run failed.
        """
        with tempfile.TemporaryDirectory(dir=self._folder) as name:
            folder = Path(name)
            path = self._input(data, folder)
            settings = RunSettings(
                workload=self._workload,
                source=self._source(path, source),
                input=str(path or ""),
                output=folder / "result",
                rejects=folder / "rejects",
                limits=limits_of(batch_size or self._batch_size),
                max_records=max_records,
            )
            report = self._engine(engine, replicas or {}).run(settings)
            return PipelineRun(
                report,
                (folder / "result").read_bytes(),
                [
                    json.loads(line)
                    for line in (folder / "rejects").read_bytes().splitlines()
                ],
            )

    def _engine(self, name: str, replicas: Mapping[str, int]) -> Engine:
        if name == "monolith":
            return MonolithEngine()
        if name != "split":
            raise UsageError(
                f"run_pipeline(engine={name!r}): must be split or monolith"
            )
        servers = self._servers(replicas)
        # Of the replicas of a stage, the first one's report shows the batches of all.
        traces = {server.name: server.trace for server in reversed(servers)}
        return split_engine(
            servers, lambda stage, *what: traces[stage].batch(stage, *what)
        )

    @property
    def _parameters(self) -> Mapping[str, inspect.Parameter]:
        return inspect.signature(self._workload.source.describe).parameters

    def _input(self, data: bytes | str | Path | None, folder: Path) -> Path | None:
        if "path" not in self._parameters:
            if data is not None:
                raise UsageError(
                    f"run_pipeline(data): workload {self._workload.name} makes its own "
                    f"records"
                )
            return None
        path = folder / "input"
        if isinstance(data, Path):
            # Servers read only below their folder.
            shutil.copyfile(data, path)
        elif data is not None:
            path.write_bytes(data.encode() if isinstance(data, str) else data)
        elif self._workload.name == "events":
            with path.open("wb") as file:
                file.writelines(generate_events(self._events, seed=1, users=100))
        else:
            raise UsageError(
                f"run_pipeline(): workload {self._workload.name} needs data"
            )
        return path

    def _source(self, path: Path | None, options: dict[str, object]) -> Any:
        if path is not None:
            options = {"path": path, **options}
        elif "records" in self._parameters:
            options = {"records": self._events, **options}
        describe = self._workload.source.describe
        try:
            inspect.signature(describe).bind(**options)
        except TypeError as error:
            raise UsageError(
                f"run_pipeline(): workload {self._workload.name}: {error}"
            ) from error
        return describe(**options)
