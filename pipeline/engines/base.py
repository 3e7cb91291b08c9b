"""The engine protocol, the settings of a run, and checks that all engines share."""

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
    """The settings of one run of a workload."""

    workload: Workload
    #: Describes what to read, in the message type of the workload's source.
    source: Message
    #: The file that ``source`` names: "-" for standard input, empty for no file.
    input: str
    output: Path
    rejects: Path | None = None
    limits: BatchLimits = field(default_factory=BatchLimits)
    #: Stop after this many records; 0 reads all.
    max_records: int = 0
    #: Called after every batch with the number of records settled so far.
    on_progress: Callable[[int], None] = lambda _: None


class Engine(Protocol):
    """Runs a workload."""

    @property
    def name(self) -> str:
        """Its name in the run report."""

    def run(self, settings: RunSettings) -> RunReport:
        """Run to the end, publish the result and the rejects, and return the account.

        Raises:
            PipelineError: The run has failed; earlier files are as they were.
        """


def check_not_empty(account: RunAccount) -> None:
    """Raise SourceError if no record was ingested: such a run is a mistake."""
    if account.ingested == 0:
        raise SourceError("the source holds no records; nothing was published")


def check_counts(
    stage: str, number: int, *, given: int, records: int, filtered: int, rejected: int
) -> None:
    """Raise ContractError unless a stage has accounted for every record of a batch."""
    if records + filtered + rejected != given:
        raise ContractError(
            f"stage {stage} was given {given} records in batch {number}, but answered "
            f"{records} + {filtered} filtered + {rejected} rejected"
        )
