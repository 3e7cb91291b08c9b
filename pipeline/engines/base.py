"""What every engine is given, and what every engine gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from google.protobuf.message import Message

from pipeline.accounting import RunAccount, RunReport
from pipeline.batching import BatchLimits
from pipeline.errors import ContractError, SourceError
from pipeline.workload import Workload


@dataclass(frozen=True, slots=True)
class RunSettings:
    """One run of a workload."""

    workload: Workload
    #: The workload's description of its source.
    source: Message
    #: The file that ``source`` names, "-" for standard input; empty if it names none.
    input: str
    output: Path
    rejects: Path | None = None
    limits: BatchLimits = field(default_factory=BatchLimits)
    #: Stop after this many records; 0 reads all.
    max_records: int = 0
    #: Called with the number of records settled so far, after every batch.
    on_progress: Callable[[int], None] = lambda _: None


class Engine(Protocol):
    """Runs a workload."""

    @property
    def name(self) -> str:
        """What the run report calls it."""

    def run(self, settings: RunSettings) -> RunReport:
        """Run to the end, publish the result and the rejects, and account for it.

        Raises PipelineError, and leaves earlier files as they were, where the run
        fails.
        """


def check_not_empty(account: RunAccount) -> None:
    """Raise SourceError for a run without records: a result of nothing is a mistake."""
    if account.ingested == 0:
        raise SourceError("the source holds no records; nothing was published")


def check_counts(
    stage: str, number: int, *, given: int, records: int, filtered: int, rejected: int
) -> None:
    """Raise ContractError unless a stage accounts for all records of a batch."""
    if records + filtered + rejected != given:
        raise ContractError(
            f"stage {stage} was given {given} records in batch {number}, but answered "
            f"{records} + {filtered} filtered + {rejected} rejected"
        )
