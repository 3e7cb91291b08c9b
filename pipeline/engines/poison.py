"""Cut a batch that ends every server of a stage down to the records that do it."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from pipeline.accounting import CRASHED_THE_STAGE, RunAccount
from pipeline.engines.legs import InFlightBatch
from pipeline.errors import StageError, raised
from pipeline.stages import INGEST
from pipeline.transport import wire
from pipeline.v1.pipeline_pb2 import Batch, Rejection
from pipeline.workload import Workload

#: How many servers a batch, or a record, must end while it is alone with them. One may
#: have ended for another reason.
LOSSES = 2


class CantCutError(Exception):
    """A batch can't be cut by its records."""


class Poison:
    """What a run does about records that end the servers of its stages.

    Args:
        workload: Knows how messages are cut.
        account: Counts the records that are rejected.
        most: How many records of the run may be rejected so.
    """

    def __init__(self, workload: Workload, account: RunAccount, most: int) -> None:
        self._account = account
        self._most = most
        source, *transforms = workload.source, *workload.transforms
        cuts = [(INGEST, source.returns, source.cut)]
        cuts += [(stage.name, stage.returns, stage.cut) for stage in transforms]
        #: How the messages that each stage takes are cut, and who makes them.
        self._cuts = {
            stage.name: cut for stage, cut in zip(transforms, cuts[:-1], strict=True)
        }

    def search(self, stage: str, batch: InFlightBatch) -> PoisonSearch | None:
        """Return a search in a batch that has ended servers; None if none is wanted.

        Raises:
            CantCutError: The batch can't be cut, as the error says.
            StageError: Too many records are found.
        """
        if not self._most:
            return None
        maker, type_, cut = self._cuts[stage]
        if cut is None:
            raise CantCutError(f"{maker} offers no cut of its messages")
        numbers = _record_numbers(batch)
        if numbers is None:
            raise CantCutError("records were filtered before, so theirs are not known")
        try:
            message = wire.unpack(batch.message.payload, type_)
        except wire.PayloadError as error:
            raise CantCutError(f"{maker}: {error}") from error
        return PoisonSearch(self, stage, batch, _Cut(message, cut, maker), numbers)

    def check(self, stage: str, found: Sequence[int]) -> None:
        """Raise StageError if these records are more than may still be rejected."""
        if self._account.crashed + len(found) > self._most:
            raise StageError(
                f"stage {stage}: record {found[-1]} ended each server that it was sent "
                f"to, and --max-poison lets {self._most} be rejected for that"
            )

    def count(self, stage: str, found: Sequence[int]) -> None:
        """Count records that are rejected.

        Raises:
            StageError: They are too many, since another search has found some, too.
        """
        self.check(stage, found)
        self._account.stages[stage].crashed_at += found


@dataclass(frozen=True, slots=True)
class _Cut:
    """A message that can be cut."""

    message: Message
    cut: Callable[[Any, int, int], Message]
    maker: str

    def __call__(self, start: int, stop: int) -> Message:
        """Return the message of the records at these positions."""
        try:
            return self.cut(self.message, start, stop)
        except Exception as error:
            raise StageError(
                f"the cut of a message of {self.maker} raised {raised(error)}"
            ) from error


class PoisonSearch:
    """Tries the records of a batch in pieces, each alone, in order.

    A piece that ends its server is halved. A single record that ends `LOSSES` of them
    is rejected.

    Args:
        poison: Counts the records that are rejected.
        stage: The stage.
        batch: Has ended `LOSSES` servers while it was alone.
        cut: Returns the payload of the records from one position to another.
        numbers: The sequence number of each of its records.
    """

    def __init__(
        self,
        poison: Poison,
        stage: str,
        batch: InFlightBatch,
        cut: Callable[[int, int], Message],
        numbers: Sequence[int],
    ) -> None:
        self.batch = batch
        self._poison = poison
        self._stage = stage
        self._cut = cut
        self._numbers = numbers
        #: Positions in the batch: the pieces to try, the one that is being tried first.
        self._pieces = deque([range(len(numbers))])
        self._losses = LOSSES - 1
        self._answered: list[tuple[int, InFlightBatch]] = []
        self._found: list[int] = []
        self.lose()

    @property
    def is_over(self) -> bool:
        """Whether every record is answered or rejected."""
        return not self._pieces

    def piece(self) -> InFlightBatch:
        """Return the piece to try, as a batch with the number of the whole one."""
        tried = self._pieces[0]
        first = self._numbers[tried.start]
        message = Batch(
            number=self.batch.message.number, records=len(tried), first_record=first
        )
        wire.pack(self._cut(tried.start, tried.stop), into=message.payload)
        return InFlightBatch(message, first_record=first, ingested=len(tried))

    def answer(self, piece: InFlightBatch) -> None:
        """Keep the answer to the piece that is being tried, and go on to the next."""
        self._answered.append((self._pieces.popleft().start, piece))
        self._losses = 0

    def lose(self) -> None:
        """Halve or reject the piece that is being tried: its server is lost.

        Raises:
            StageError: Too many records are found, or an empty piece does it, too.
        """
        tried = self._pieces.popleft()
        if not tried:
            raise StageError("a batch without records ends each server, too")
        self._losses += 1
        if len(tried) > 1:
            half = len(tried) // 2
            self._pieces.extendleft((tried[half:], tried[:half]))
            self._losses = 0
        elif self._losses < LOSSES:
            self._pieces.appendleft(tried)
        else:
            self._found.append(self._numbers[tried.start])
            self._poison.check(self._stage, self._found)
            self._losses = 0
            if not (self._pieces or self._answered):
                # The stages behind are given a batch for each, though it be empty.
                self._pieces.append(range(0))

    def result(self) -> InFlightBatch:
        """Count what was found, and return the batch with the pieces that replace it.

        Raises:
            StageError: Too many records are found in the whole run.
        """
        self._poison.count(self._stage, self._found)
        whole = self.batch
        pieces = [piece for _, piece in self._answered]
        firsts = [self._numbers[start] for start, _ in self._answered]
        firsts[0] = whole.first_record
        ends = [*firsts[1:], whole.first_record + whole.ingested]
        for piece, first, end in zip(pieces, firsts, ends, strict=True):
            piece.message.first_record = piece.first_record = first
            piece.ingested = end - first
            piece.is_last = False
        pieces[-1].is_last = whole.is_last
        found = [
            (self._stage, Rejection(record=record, reason=CRASHED_THE_STAGE))
            for record in self._found
        ]
        for named in whole.rejections + found:
            position = bisect_right(firsts, named[1].record) - 1
            pieces[max(0, position)].rejections.append(named)
        whole.pieces = pieces
        return whole


def _record_numbers(batch: InFlightBatch) -> list[int] | None:
    """Return the sequence numbers of the records in a batch; None if not known."""
    rejected = {rejection.record for _, rejection in batch.rejections}
    ingested = range(batch.first_record, batch.first_record + batch.ingested)
    numbers = [number for number in ingested if number not in rejected]
    return numbers if numbers and len(numbers) == batch.message.records else None
