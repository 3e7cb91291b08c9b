"""Go on with a run although a server of ingest or of a transform stage is lost.

A transform stage is a pure function and keeps nothing between batches. So what a lost
server has not answered can be sent again, to another server or to the same one once it
is back. A source that can be read again is read on from the last batch that arrived.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pipeline.engines.legs import InFlightBatch, IngestLeg, TransformLeg
from pipeline.engines.poison import LOSSES, CantCutError, PoisonSearch
from pipeline.errors import LostStageError, StageError, UsageError

_FIRST_BACKOFF_S = 0.1
_BACKOFF_FACTOR = 4
_MOST_BACKOFF_S = 10.0


@dataclass(frozen=True, slots=True)
class Recovery:
    """How far a run goes to replace a server that is lost.

    Raises:
        UsageError: A value is out of its range.
    """

    #: How often in a row, without a reply between, a server is started or connected to
    #: again, and how often the run begins again because the sink is lost; 0 fails the
    #: run when a server is first lost.
    retries: int = 5
    #: Seconds after which a server that does not answer a batch is taken for lost.
    stage_timeout_s: float = 60.0
    #: How many records may be rejected because each of them ends every server that it
    #: is sent to.
    max_poison: int = 0

    def __post_init__(self) -> None:
        if self.retries < 0:
            raise UsageError(f"retries {self.retries}: must be 0 or more")
        # Refuses NaN, too.
        if not self.stage_timeout_s > 0:
            raise UsageError(
                f"stage timeout {self.stage_timeout_s:g}: must be more than 0 seconds"
            )
        if self.max_poison < 0:
            raise UsageError(f"max poison {self.max_poison}: must be 0 or more")
        if self.max_poison and self.retries < LOSSES:
            raise UsageError(
                f"max poison {self.max_poison}: needs {LOSSES} retries or more, to be "
                f"sure of a batch; {self.retries} given"
            )


#: A server that is lost fails the run: for tests, which are to see that.
NO_RECOVERY = Recovery(retries=0)


class RecoveringLeg:
    """The leg to one server of a transform stage, and to those that replace it.

    Args:
        leg: The leg to the server.
        reopen: Starts the server anew or connects to it again, and returns a leg to it.
            Is told the number of the oldest batch that it has not answered, or None,
            and why it is lost. Raises StageError if that fails.
        retries: How often in a row `reopen` is tried, without a reply between.
        sleep: Waits so many seconds.
        search: Returns a search in a batch that has ended servers, or None. Raises
            CantCutError.
    """

    def __init__(
        self,
        leg: TransformLeg,
        reopen: Callable[[int | None, str], Awaitable[TransformLeg]],
        retries: int,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        search: Callable[[InFlightBatch], PoisonSearch | None] = lambda _: None,
    ) -> None:
        self._leg = leg
        self._reopen = reopen
        self._retries = retries
        self._new_search = search
        self._sleep = sleep
        self._tasks: asyncio.TaskGroup
        #: Batches that wait to be sent to the new server, the oldest first.
        self._waiting: deque[InFlightBatch] = deque()
        #: Whether `send` leaves batches to the task that sends again.
        self._is_down = False
        self._resending: asyncio.Task[None] | None = None
        self._answered = asyncio.Event()
        self._closed = False
        #: Losses in a row, without a reply between, and how many of them were servers
        #: that could not be replaced.
        self._losses = self._unreached = 0
        #: The batch that was sent alone to the present server and has no reply, and how
        #: many servers the oldest batch has ended so.
        self._alone: InFlightBatch | None = None
        self._lost_alone = 0
        #: Tries the pieces of that batch.
        self._search: PoisonSearch | None = None
        #: Why there is no such search.
        self._uncut = ""

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Use ``tasks`` for what has to run beside `receive`. Call this first."""
        self._tasks = tasks

    @property
    def is_down(self) -> bool:
        """Whether its server is being replaced."""
        return self._is_down

    @property
    def unanswered(self) -> int:
        """The number of batches that were taken and have no reply yet."""
        in_flight = 1 if self._search is not None else self._leg.unanswered
        return in_flight + len(self._waiting)

    def take_unanswered(self) -> deque[InFlightBatch]:
        """Return the batches that have no reply yet, the oldest first; keep none."""
        taken = self._leg.take_unanswered()
        if self._search is not None:
            taken = deque([self._search.batch])
            self._search = None
        taken += self._waiting
        self._waiting.clear()
        return taken

    def awaited(self) -> float | None:
        """Return what the leg to the present server waits for."""
        return self._leg.awaited()

    async def overdue(self, waited_s: float) -> None:
        """Give up the present server."""
        await self._leg.overdue(waited_s)

    async def send(self, batch: InFlightBatch, raw: bytes) -> None:
        """Send a batch; ``raw`` is its message, serialised."""
        if self._is_down:
            self._waiting.append(batch)
        else:
            await self._leg.send(batch, raw)

    async def close(self) -> None:
        """Half-close the stream: no batch follows."""
        self._closed = True
        if not self._is_down:
            await self._leg.close()

    async def receive(self) -> InFlightBatch | None:
        """Return the next batch that has been answered; None at the end.

        Raises:
            LostStageError: The server is lost and can't be replaced.
            StageError: The stage has failed, or a batch ends each of its servers.
        """
        while True:
            if self._search is not None and self._search.is_over:
                search, self._search = self._search, None
                return search.result()
            try:
                batch = await self._leg.receive()
            except LostStageError as error:
                if self._retries and self._closed and not self.unanswered:
                    return None  # nothing is left to replace it for
                await self._replace(error)
                continue
            if self._losses or self._is_down:
                self._losses = self._unreached = self._lost_alone = 0
                self._alone, self._uncut = None, ""
                self._answered.set()
            if self._search is None or batch is None:
                return batch
            self._search.answer(batch)

    async def _replace(self, error: StageError) -> None:
        """Replace the server that was lost, as ``error`` says."""
        self._is_down = True
        if self._resending is not None:
            self._resending.cancel()
            await asyncio.wait([self._resending])
        alone, self._alone = self._alone, None
        if self._search is None:
            self._waiting = self.take_unanswered()
            if alone is not None:
                self._suspect(alone)
        else:
            self._leg.take_unanswered()
            if alone is not None:
                self._search.lose()
                self._losses = 0
        while True:
            if self._losses == self._retries:
                raise self._final(error) from error
            await self._sleep(backoff_s(self._losses))
            self._losses += 1
            try:
                self._leg = await self._reopen(self._oldest_number(), _reason(error))
            except StageError as failure:
                error = failure
                self._unreached += 1
            else:
                break
        self._resending = self._tasks.create_task(self._send_again())

    def _suspect(self, oldest: InFlightBatch) -> None:
        """Count a server that the oldest batch has ended; begin a search if it must."""
        self._lost_alone += 1
        if self._lost_alone < LOSSES:
            return
        try:
            self._search = self._new_search(oldest)
        except CantCutError as error:
            self._uncut = str(error)
        if self._search is not None:
            self._waiting.popleft()
            self._losses = 0

    async def _send_again(self) -> None:
        """Send what waits, the first batch alone.

        If that batch ends the server again, it is known to be the one that does.
        """
        while self._search is not None and not self._search.is_over:
            await self._send_alone(self._search.piece())
        is_first = True
        while self._waiting:
            batch = self._waiting.popleft()
            if is_first:
                is_first = False
                await self._send_alone(batch)
            else:
                await self._leg.send(batch, batch.message.SerializeToString())
        self._is_down = False
        if self._closed:
            await self._leg.close()

    async def _send_alone(self, batch: InFlightBatch) -> None:
        """Send a batch, and wait until it is answered."""
        self._answered.clear()
        self._alone = batch
        await self._leg.send(batch, batch.message.SerializeToString())
        await self._answered.wait()

    def _oldest(self) -> InFlightBatch | None:
        """Return the oldest batch that the lost server has not answered."""
        if self._search is not None:
            return self._search.batch
        return self._waiting[0] if self._waiting else None

    def _oldest_number(self) -> int | None:
        oldest = self._oldest()
        return None if oldest is None else oldest.message.number

    def _final(self, error: StageError) -> StageError:
        """Return the error of a server that is not replaced any more."""
        oldest = self._oldest()
        if not self._retries or oldest is None:
            return LostStageError(str(error))
        at = f"batch {oldest.message.number}, from record {oldest.first_record}"
        message = f"{error}; lost {self._retries + 1} times in a row at {at}"
        if self._uncut:
            message += f", which can't be cut: {self._uncut}"
        # A batch that has ended so many servers would end those of other replicas, too.
        return LostStageError(message) if self._unreached else StageError(message)


class RecoveringIngest:
    """The leg to ingest, and to those servers that replace it.

    Args:
        leg: The leg to the server.
        reopen: Starts the server anew, and returns an open leg to it that goes on after
            the last batch that was received. Is told why the one before is lost.
            Raises StageError if that fails.
        retries: How often in a row `reopen` is tried, without a batch between.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        leg: IngestLeg,
        reopen: Callable[[str], Awaitable[IngestLeg]],
        retries: int,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._leg = leg
        self._reopen = reopen
        self._retries = retries
        self._sleep = sleep
        #: Losses in a row, without a batch between.
        self._losses = 0
        self._is_down = False

    def awaited(self) -> int | None:
        """Return what the leg to the present server waits for."""
        return None if self._is_down else self._leg.awaited()

    async def overdue(self, waited_s: float) -> None:
        """Give up the present server unless it is healthy."""
        await self._leg.overdue(waited_s)

    async def open(self) -> None:
        """Send the request."""
        await self._leg.open()

    async def receive(self) -> InFlightBatch | None:
        """Return the next batch; None at the end.

        Raises:
            LostStageError: The server is lost and can't be replaced.
            SourceError: The source can't be read, or has changed meanwhile.
        """
        while True:
            try:
                batch = await self._leg.receive()
            except LostStageError as error:
                await self._replace(error)
            else:
                self._losses = 0
                return batch

    async def _replace(self, error: StageError) -> None:
        """Replace the server that was lost, as ``error`` says."""
        self._is_down = True
        while True:
            if self._losses == self._retries:
                raise lost_for_good(error, self._losses) from error
            await self._sleep(backoff_s(self._losses))
            self._losses += 1
            try:
                self._leg = await self._reopen(_reason(error))
            except StageError as failure:
                error = failure
            else:
                self._is_down = False
                return


def lost_for_good(error: StageError, retries: int) -> LostStageError:
    """Return the error of a server that was lost again after so many retries."""
    again = f"; lost {retries + 1} times in a row" if retries else ""
    return LostStageError(f"{error}{again}")


def _reason(error: StageError) -> str:
    return error.reason if isinstance(error, LostStageError) else str(error)


def backoff_s(losses: int) -> float:
    """Return the seconds to wait after so many losses before this one."""
    return min(_FIRST_BACKOFF_S * float(_BACKOFF_FACTOR**losses), _MOST_BACKOFF_S)
