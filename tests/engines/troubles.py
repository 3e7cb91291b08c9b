"""What befalls the servers of a run in its midst: they pause, die and return."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Literal

from hypothesis import strategies as st

from pipeline.engines.window import WindowLimits
from pipeline.stages import INGEST, SINK
from pipeline.v1.pipeline_pb2 import Batch
from pipeline.workloads.events import EVENTS
from pytest_pipeline.servers.handle import Server

Direction = Literal["to", "from"]

TRANSFORMS = tuple(stage.name for stage in EVENTS.transforms)
CROSSINGS: list[tuple[str, Direction]] = [
    (INGEST, "from"),
    *((name, direction) for name in TRANSFORMS for direction in ("to", "from")),
    (SINK, "to"),
]


@dataclass(frozen=True)
class Trouble:
    """What befalls a server when a batch crosses a leg."""

    kind: Literal["dies", "dies and returns", "pauses"]
    stage: str
    replica: int
    crossing: tuple[str, Direction]
    batch: int
    #: Messages after which a server that pauses goes on, at the latest.
    patience: int


def troubles() -> st.SearchStrategy[Trouble]:
    """Anything that may befall any server, wherever the batches are."""
    return st.builds(
        Trouble,
        kind=st.sampled_from(["pauses", "pauses", "dies", "dies and returns"]),
        stage=st.sampled_from(EVENTS.stage_names),
        replica=st.integers(0, 2),
        crossing=st.sampled_from(CROSSINGS),
        batch=st.integers(0, 9),
        patience=st.sampled_from([1, 3, 1000]),
    )


class Watch:
    """Makes the troubles of one run, each as its batch crosses its leg.

    One server is paused at a time. It goes on no later than after the last message
    that is sure to come without it, so that no run can wait for it for ever.
    """

    def __init__(
        self,
        servers: Mapping[str, Sequence[Server]],
        troubles: Sequence[Trouble],
        batches: int,
        window: WindowLimits,
    ) -> None:
        #: Those that died: what an error may begin with that tells of it.
        self.deaths: set[str] = set()
        #: Whether one died that was not done, so that the run can't succeed.
        self.is_doomed = False
        self.pauses = 0
        #: That of the run, once it is under way.
        self.loop: asyncio.AbstractEventLoop | None = None
        self._servers = servers
        self._batches = batches
        self._window = window
        self._due: dict[tuple[str, Direction, int], list[Trouble]] = defaultdict(list)
        for trouble in troubles if batches else ():
            self._due[*trouble.crossing, trouble.batch % batches].append(trouble)
        self._sent: Counter[str] = Counter()
        self._came: dict[str, set[int]] = defaultdict(set)
        self._paused: tuple[str, Server] | None = None
        self._patience = 0
        self._last: tuple[str, int] = (SINK, 0)

    def __call__(
        self, stage: str, direction: Direction, batch: Batch, _size: int
    ) -> None:
        """Take note of a message, and make what is due with it."""
        self.loop = asyncio.get_running_loop()
        if direction == "to":
            self._sent[stage] += 1
        else:
            self._came[stage].add(batch.number)
        self._patience -= 1
        for trouble in self._due.pop((stage, direction, batch.number), ()):
            servers = self._servers[trouble.stage]
            server = servers[trouble.replica % len(servers)]
            if trouble.kind == "pauses":
                self._pause(trouble.stage, server, trouble.patience)
            else:
                self._kill(trouble.stage, server)
                if trouble.kind == "dies and returns":
                    server.restart()
        leg, messages = self._last
        if self._patience <= 0 or self._sent[leg] >= messages:
            self.resume()

    def resume(self) -> None:
        """Let the server that is paused go on."""
        if self._paused is not None:
            self._paused[1].resume()
            self._paused = None

    def cut(self) -> None:
        """End the run from another thread, wherever it is."""

        def cancel() -> None:
            for task in asyncio.all_tasks():
                task.cancel()

        if self.loop is not None:
            self.loop.call_soon_threadsafe(cancel)

    def _pause(self, stage: str, server: Server, patience: int) -> None:
        self.resume()
        # A run that fails waits for the sink to discard its draft.
        if server.ending or (stage == SINK and self.deaths):
            return
        server.pause()
        self.pauses += 1
        self._paused, self._patience = (stage, server), patience
        self._last = self._sure_without(stage)

    def _sure_without(self, stage: str) -> tuple[str, int]:
        """Return a leg, and how many batches will cross it though ``stage`` stops."""
        if stage == INGEST:
            return SINK, len(self._came[INGEST])
        if stage == SINK:
            return SINK, self._batches
        replicas = len(self._servers[stage])
        room = max(replicas, self._window.batches if self._window.bytes > 1 else 1)
        oldest = next(number for number in count() if number not in self._came[stage])
        return stage, min(self._batches, oldest + room)

    def _kill(self, stage: str, server: Server) -> None:
        if server.ending:
            return
        if self._paused is not None and SINK in (stage, self._paused[0]):
            self.resume()
        server.kill()
        self.deaths.add(f"stage {stage} at {server.host.address} is lost: ")
        # A transform is done once its stream is closed, which follows the last batch;
        # the sink once it has been sent the commit. Ingest reads ahead of everybody.
        self.is_doomed |= stage == SINK or (
            stage != INGEST and self._sent[stage] < self._batches
        )
