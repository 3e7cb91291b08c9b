"""Failures of earlier runs, which the next run tries first."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from hypothesis.database import DirectoryBasedExampleDatabase

from pipeline.errors import UsageError
from pipeline.workload import Workload
from pytest_pipeline.records.cuts import Cut
from pytest_pipeline.records.streams import Partition, Stream, parse_partition


@dataclass(frozen=True)
class Failure:
    """What a property did not hold for: a small stream, or a cut of the whole data."""

    #: An encoded stream; empty if the smallest one was too large to keep.
    stream: str = ""
    partition: Partition = ()
    #: The name of a cut of the whole data; empty for a stream.
    cut: str = ""


class Failures:
    """A folder that keeps failures from one run to the next.

    A folder that can't be read or written keeps nothing, and that is no error.

    Args:
        folder: where the failures are kept; made when there is one.

    Example::

        Property("merge").search(workload, failures=Failures.here())
    """

    def __init__(self, folder: Path) -> None:
        self._kept = DirectoryBasedExampleDatabase(folder)

    @classmethod
    def here(cls) -> Self:
        """Return the failures of the current folder, beside those of hypothesis."""
        folder = os.environ.get("HYPOTHESIS_STORAGE_DIRECTORY") or ".hypothesis"
        return cls(Path(folder).absolute() / "pipeline-invariance")

    def of(self, workload: Workload, prop: str) -> list[Failure]:
        """Return the failures of a property of a workload, in any run."""
        key, found = _key(workload, prop), []
        with suppress(OSError):
            for kept in self._kept.fetch(key):
                failure = _decoded(kept, workload)
                if failure is None:
                    self._kept.delete(key, kept)
                else:
                    found.append(failure)
        return found

    def add(self, workload: Workload, prop: str, failure: Failure) -> None:
        """Keep a failure for the next run."""
        with suppress(OSError):
            self._kept.save(_key(workload, prop), _encoded(failure))

    def remove(self, workload: Workload, prop: str, failure: Failure) -> None:
        """Forget a failure that is none any more."""
        with suppress(OSError):
            self._kept.delete(_key(workload, prop), _encoded(failure))


def _key(workload: Workload, prop: str) -> bytes:
    return f"{workload.name} {prop}".encode()


def _encoded(failure: Failure) -> bytes:
    return json.dumps(
        {
            "stream": failure.stream,
            "partition": ",".join(map(str, failure.partition)),
            "cut": failure.cut,
        }
    ).encode()


def _decoded(kept: bytes, workload: Workload) -> Failure | None:
    """Return a failure that was kept; None if the workload can't read it any more."""
    try:
        told = json.loads(kept)
        failure = Failure(
            told["stream"], parse_partition(told["partition"]), told["cut"]
        )
        if failure.cut:
            Cut(failure.cut)
        else:
            Stream.decode(failure.stream, workload.source.returns)
    except (ValueError, KeyError, TypeError, UsageError):
        return None
    return failure
