"""The engine protocol, the settings of a run, and checks that all engines share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from google.protobuf.message import Message

from pipeline.accounting import RunAccount, RunReport
from pipeline.batching import AUTO, DEFAULT_BATCH_RECORDS, BatchLimits, BatchSize
from pipeline.checkpoint import DEFAULT_CHECKPOINT_BATCHES
from pipeline.errors import ContractError, SourceError
from pipeline.reject_limit import RejectLimit
from pipeline.sizing import BATCH_BYTES
from pipeline.workload import Workload

# At batch size ``auto``, for a source or an ingest that can't follow it.
_UNSIZED = BatchLimits(DEFAULT_BATCH_RECORDS, BATCH_BYTES, linger_s=5e-3)


@dataclass(frozen=True, slots=True)
class RunSettings:
    """The settings of one run of a workload."""

    workload: Workload
    #: Describes what to read, in the message type of the workload's source.
    source: Message
    #: The file that ``source`` names: "-" for standard input, empty for no file.
    #: Several are joined by `pipeline.inputs.joined_paths`.
    input: str
    output: Path
    rejects: Path | None = None
    #: How many records may be rejected; None for any number.
    reject_limit: RejectLimit | None = None
    #: When a batch is cut; None lets the engine choose the size of each batch.
    limits: BatchLimits | None = None
    #: Stop after this many records; 0 reads all.
    max_records: int = 0
    #: The folder of a checkpoint, from which the same run resumes; None for none.
    checkpoint: Path | None = None
    #: The number of batches from one checkpoint to the next.
    checkpoint_batches: int = DEFAULT_CHECKPOINT_BATCHES
    #: Called when the run resumes, with the number of records in the result already.
    on_resume: Callable[[int], None] = lambda _: None
    #: Called after every batch with the number of records settled so far.
    on_progress: Callable[[int], None] = lambda _: None
    #: Called when all records are through, just before the result is published.
    on_publish: Callable[[], None] = lambda: None

    @property
    def batch_size(self) -> BatchSize:
        """Most records in a batch, or ``auto``."""
        return AUTO if self.limits is None else self.limits.records

    @property
    def sizes_batches(self) -> bool:
        """Whether the engine chooses the size of each batch as the run goes on."""
        return self.limits is None and self.workload.source.live_limits

    @property
    def fixed_limits(self) -> BatchLimits:
        """When a batch is cut where the engine does not choose."""
        return self.limits or _UNSIZED

    def on_settled(self, account: RunAccount) -> None:
        """Check the account after a batch, and tell how far the run is.

        Raises:
            SourceError: Too many records are rejected.
        """
        if self.reject_limit is not None:
            self.reject_limit.check_count(account.rejected)
        self.on_progress(account.settled)


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


def check_end(account: RunAccount, settings: RunSettings) -> None:
    """Check a run whose records are all through, before anything is published.

    Raises:
        SourceError: No record was ingested, since such a run is a mistake; or too many
            were rejected.
        ConservationError: Records were lost or made.
    """
    check_not_empty(account)
    account.check_conservation()
    if settings.reject_limit is not None:
        settings.reject_limit.check_end(account.rejected, account.ingested)


def check_counts(
    stage: str, number: int, *, given: int, records: int, filtered: int, rejected: int
) -> None:
    """Raise ContractError unless a stage has accounted for every record of a batch."""
    if records + filtered + rejected != given:
        raise ContractError(
            f"stage {stage} was given {given} records in batch {number}, but answered "
            f"{records} + {filtered} filtered + {rejected} rejected"
        )
