"""Stages pause, die and return in any order: a run is right, or it leaves no trace."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import grpc
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from pipeline.accounting import RunReport
from pipeline.batching import BatchLimits
from pipeline.engines.base import RunSettings
from pipeline.engines.monolith import MonolithEngine
from pipeline.engines.recovery import NO_RECOVERY
from pipeline.engines.split import SplitEngine
from pipeline.engines.window import DEFAULT_WINDOW_BYTES, WindowLimits
from pipeline.errors import SourceError, StageError
from pipeline.workloads.events import EVENTS
from pipeline.workloads.events.generate import generate_events
from pipeline.workloads.lines import line_source
from pytest_pipeline import strategies
from pytest_pipeline.options import PipelineSettings
from pytest_pipeline.servers.handle import Server
from pytest_pipeline.servers.hosts import InProcessHost
from pytest_pipeline.servers.leaks import Owned, left_behind, snapshot
from pytest_pipeline.servers.pool import ServerPool
from pytest_pipeline.servers.specification import stage_specs
from tests.engines.failing import is_soon_gone
from tests.engines.troubles import TRANSFORMS, Trouble, Watch, troubles

REPLICAS = 3
DATA = b"".join(generate_events(12, seed=1, users=3, malformed=0.2))

# No run takes a hundredth of it; one that does not end is a failure, not a hang.
_STUCK_S = 30.0
_MAX_BYTES = 10_000


@dataclass
class World:
    """The servers and files that all examples share, and what they came to."""

    folder: Path
    servers: Mapping[str, Sequence[Server]]
    seen: set[str] = field(default_factory=set)

    @property
    def owned(self) -> Owned:
        """What the servers have, which no run need end."""
        servers = [server for found in self.servers.values() for server in found]
        return Owned(
            threads=frozenset(
                thread
                for server in servers
                if isinstance(server.host, InProcessHost)
                for thread in server.host.threads
            ),
            addresses=frozenset(server.host.address for server in servers),
        )


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """Draw a file, mostly of several batches; very long lines would only take time."""
    data = draw(st.sampled_from([DATA, DATA * 2, b""]))
    return data or draw(strategies.event_files())[:_MAX_BYTES]


class Stages(RuleBasedStateMachine):
    """Any sequence of runs and of what may befall the stages between and in them."""

    world: ClassVar[World]

    def __init__(self) -> None:
        super().__init__()
        folder, servers = self.world.folder, self.world.servers
        self.input = folder / "in.ndjson"
        self.files = [folder / "out.ndjson", folder / "rejects.ndjson"]
        self.in_use = {name: [found[0]] for name, found in servers.items()}

    @initialize()
    def start(self) -> None:
        """Start with all servers up, and without a result."""
        for path in self.files:
            path.unlink(missing_ok=True)
        for servers in self.world.servers.values():
            for server in servers:
                # Not asked to end, for which it would wait for channels of lost calls.
                server.kill()
                server.restart()
        self.before = snapshot()

    @rule(stage=st.sampled_from(EVENTS.stage_names), replica=st.integers(0, 2))
    def kill(self, stage: str, replica: int) -> None:
        """End a server."""
        self.server(stage, replica).kill()

    @rule(stage=st.sampled_from(EVENTS.stage_names), replica=st.integers(0, 2))
    def restart(self, stage: str, replica: int) -> None:
        """Start a server anew, whether it is up or not."""
        self.server(stage, replica).restart()

    def return_all(self) -> None:
        """Start all servers that are down."""
        for servers in self.world.servers.values():
            for server in servers:
                if server.ending:
                    server.restart()

    @rule(stage=st.sampled_from(TRANSFORMS), replica=st.integers(0, 2))
    def swap(self, stage: str, replica: int) -> None:
        """Take a replica in, or out if it is in and not the last."""
        server, in_use = self.server(stage, replica), self.in_use[stage]
        if server not in in_use:
            in_use.append(server)
        elif len(in_use) > 1:
            in_use.remove(server)

    @rule(
        result=st.none() | st.binary(max_size=4),
        rejects=st.none() | st.binary(max_size=4),
    )
    def change_earlier(self, result: bytes | None, rejects: bytes | None) -> None:
        """Let other files, or none, be where the next run publishes."""
        for path, data in zip(self.files, (result, rejects), strict=True):
            if data is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(data)

    @rule(
        data=files(),
        all_return=st.sampled_from([True, True, False]),
        batch_size=st.integers(1, 5),
        window=st.builds(
            WindowLimits, st.integers(1, 5), st.sampled_from([1, DEFAULT_WINDOW_BYTES])
        ),
        befalling=st.lists(troubles(), max_size=2),
    )
    def run(
        self,
        data: bytes,
        all_return: bool,
        batch_size: int,
        window: WindowLimits,
        befalling: list[Trouble],
    ) -> None:
        """Run a file; check what came of it, and that nothing else is left."""
        self.input.write_bytes(data)
        if all_return:
            self.return_all()
        expected = self.expected(batch_size)
        batches = expected[-1][1] if isinstance(expected, tuple) else 0
        down = {
            f"stage {name}: nobody answers at {server.host.address}"
            for name, servers in self.in_use.items()
            for server in servers
            if server.ending
        }
        watch = Watch(self.in_use, befalling, batches, window)
        engine = SplitEngine(
            {
                name: [server.address for server in servers]
                for name, servers in self.in_use.items()
            },
            window=window,
            recovery=NO_RECOVERY,
            on_message=watch,
        )
        earlier = contents(self.files)

        failure, is_of_stage, outcome = "", False, None
        with self.no_hang(watch):
            try:
                report = engine.run(self.settings(self.files, batch_size))
            except (StageError, SourceError) as error:
                # The error itself would keep its channels open.
                failure, is_of_stage = str(error), isinstance(error, StageError)
            else:
                outcome = contents(self.files), counts(report)
            finally:
                watch.resume()

        assert is_soon_gone(self.world.folder, ".*.partial")
        if down or watch.is_doomed or is_of_stage:
            assert is_of_stage
            assert failure.startswith(tuple(down or watch.deaths))
        else:
            assert (failure or outcome) == expected
        if failure:
            assert contents(self.files) == earlier
        self.world.seen.add(
            ("failed" if failure else "right")
            + (", one was down" if down else "")
            + (", one died" if watch.deaths else "")
            + (", one paused" if watch.pauses else "")
        )

    @rule()
    def look_round(self) -> None:
        """Find nothing in flight of the runs that have ended."""
        left = left_behind(self.before, self.world.owned)
        # Of a call that was cut, gRPC 1.78 may tell the event loop when that is closed,
        # and then keeps its channel.
        if grpc.__version__.startswith("1.78."):
            left = [what for what in left if not what.startswith("channel to")]
        assert left == []

    def server(self, stage: str, replica: int) -> Server:
        """Return a server, in use or not."""
        servers = self.world.servers[stage]
        return servers[replica % len(servers)]

    def settings(self, files: Sequence[Path], batch_size: int) -> RunSettings:
        """Describe a run over the input."""
        output, rejects = files
        return RunSettings(
            workload=EVENTS,
            source=line_source(self.input),
            input=str(self.input),
            output=output,
            rejects=rejects,
            limits=BatchLimits(batch_size),
        )

    def expected(self, batch_size: int) -> Any:
        """Return what the monolith makes of the input, or why it can't."""
        files = [path.with_suffix(".expected") for path in self.files]
        try:
            report = MonolithEngine().run(self.settings(files, batch_size))
        except SourceError as error:
            return str(error)
        return contents(files), counts(report)

    @contextmanager
    def no_hang(self, watch: Watch) -> Iterator[None]:
        """Cut the run if it does not end."""
        stuck = threading.Event()

        def cut() -> None:
            stuck.set()
            for servers in self.world.servers.values():
                for server in servers:
                    server.kill()
            watch.cut()

        timer = threading.Timer(_STUCK_S, cut)
        timer.start()
        try:
            yield
        except asyncio.CancelledError:
            assert stuck.is_set()
        finally:
            timer.cancel()
            timer.join()
        assert not stuck.is_set(), "the run did not end"


def contents(files: Sequence[Path]) -> list[bytes | None]:
    """Return what is in the files, None for one that is missing."""
    return [path.read_bytes() if path.exists() else None for path in files]


def counts(report: RunReport) -> Any:
    """Return the counts of a run, whose records must add up."""
    records = report.records
    assert records.ingested == records.rejected + records.filtered + records.passed
    return records, report.batches, report.rejections


def test_stages_may_pause_die_and_return(
    pipeline_servers: ServerPool, tmp_path: Path
) -> None:
    """A run gives what the monolith gives, or it names a stage that has died.

    It then leaves the earlier files as they were, and it is right again once the stage
    is back. A stage that pauses only delays.
    """
    servers: dict[str, list[Server]] = {name: [] for name in EVENTS.stage_names}
    replicas = dict.fromkeys(TRANSFORMS, REPLICAS)
    for server in pipeline_servers.shared(
        stage_specs(PipelineSettings(), EVENTS, replicas=replicas)
    ):
        servers[server.name].append(server)

    class InThisWorld(Stages):
        world = World(tmp_path, servers)

    run_state_machine_as_test(InThisWorld, settings=settings(stateful_step_count=15))

    assert InThisWorld.world.seen >= {
        "right",
        "right, one paused",
        "failed, one was down",
        "failed, one died",
        "failed, one died, one paused",
    }
