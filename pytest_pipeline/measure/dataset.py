"""Datasets: the records that benchmarks run on."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import Message

from pipeline.batching import BatchSize, limits_of
from pipeline.engines.base import RunSettings
from pipeline.engines.monolith import MonolithEngine
from pipeline.errors import UsageError
from pipeline.workload import Workload
from pipeline.workloads.events.generate import generate_events

#: Events that are generated for a session; more than a run is likely to need.
EVENTS = 200_000

_COUNTING_BATCH = 1000


@dataclass(frozen=True)
class Dataset:
    """The records that a benchmark runs on, and the workload that runs on them."""

    workload: Workload
    #: Returns the message that makes ingest read or generate that many records.
    source: Callable[[int], Message]
    #: The input file; None for a workload that generates its records.
    path: Path | None = None
    #: Records in the input; None for a workload that generates any number.
    available: int | None = None

    def settings(
        self, records: int, batch_size: BatchSize, output: Path
    ) -> RunSettings:
        """Return the settings of a run.

        Args:
            records: How many to run on, from the first; 0 for all.
            batch_size: Records of a batch, or ``auto``.
            output: Where the result is written.
        """
        return RunSettings(
            workload=self.workload,
            source=self.source(records),
            input=str(self.path or ""),
            output=output,
            limits=limits_of(batch_size),
            max_records=records,
        )


def dataset_of(
    workload: Workload,
    folder: Path,
    data: bytes | None = None,
    options: Mapping[str, object] | None = None,
) -> Dataset:
    """Make the dataset of a workload.

    Args:
        workload: Runs on the records.
        folder: Where the input is written, if the workload reads one.
        data: The input. By default events are generated for the events workload. A
            workload that generates its records ignores it.
        options: Of the records, such as ``iterations`` of work items.

    Raises:
        UsageError: The workload reads its records and ``data`` is missing, or an option
            is missing or unknown to it.
    """
    describe = workload.source.describe
    known = inspect.signature(describe).parameters
    options = dict(options or {})
    if "path" not in known:
        _check_options(workload, {"records": 1, **options})
        return Dataset(workload, lambda records: describe(records=records, **options))
    path = folder / f"{workload.name.replace(':', '.')}.input"
    if data is not None:
        path.write_bytes(data)
    elif workload.name == "events":
        with path.open("wb") as file:
            file.writelines(generate_events(EVENTS, seed=1, users=1000))
    else:
        raise UsageError(
            f"workload {workload.name} reads its records; give --pipeline-data"
        )
    _check_options(workload, {"path": path, **options})
    source = describe(path=path, **options)
    dataset = Dataset(workload, lambda _: source, path)
    available = EVENTS if data is None else _count(dataset, folder)
    return Dataset(workload, lambda _: source, path, available)


def _check_options(workload: Workload, options: Mapping[str, object]) -> None:
    try:
        inspect.signature(workload.source.describe).bind(**options)
    except TypeError as error:
        raise UsageError(
            f"workload {workload.name} can't be measured: {error}"
        ) from error


def _count(dataset: Dataset, folder: Path) -> int:
    """Count the records of the input, by running on all of them."""
    report = MonolithEngine().run(
        dataset.settings(0, _COUNTING_BATCH, folder / "counted")
    )
    return report.records.ingested
