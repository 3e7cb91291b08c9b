"""Records to measure with: as many of a workload as a run is to have."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import Message

from pipeline.batching import BatchLimits
from pipeline.engines.base import RunSettings
from pipeline.engines.monolith import MonolithEngine
from pipeline.errors import UsageError
from pipeline.workload import Workload
from pipeline.workloads.events.generate import generate_events

#: Events that are made for a session; more than a run is likely to need.
EVENTS = 200_000

_COUNTING_BATCH = 1000


@dataclass(frozen=True)
class Dataset:
    """A workload, and where its records come from."""

    workload: Workload
    #: The message that tells ingest to read or make so many records.
    source: Callable[[int], Message]
    #: The input that has them; None for a workload that makes its own.
    path: Path | None = None
    #: How many there are; None for as many as are asked for.
    available: int | None = None

    def settings(self, records: int, batch_size: int, output: Path) -> RunSettings:
        """Return a run of the first ``records`` records."""
        return RunSettings(
            workload=self.workload,
            source=self.source(records),
            input=str(self.path or ""),
            output=output,
            limits=BatchLimits(records=batch_size),
            max_records=records,
        )


def dataset_of(
    workload: Workload,
    folder: Path,
    data: bytes | None = None,
    options: Mapping[str, object] | None = None,
) -> Dataset:
    """Return the dataset of a workload.

    ``data`` is the input of one that reads its records; those of the events workload
    are made. ``options`` are those of workloads that make their own, such as
    ``iterations``. What is read lies below ``folder``. Raises UsageError where data is
    missing, or an option that the workload needs.
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
    """Return how many records there are."""
    report = MonolithEngine().run(
        dataset.settings(0, _COUNTING_BATCH, folder / "counted")
    )
    return report.records.ingested
