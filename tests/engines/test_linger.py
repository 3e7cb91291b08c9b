"""Batches that linger, through both engines, from a standard input that is slow."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from io import FileIO
from pathlib import Path
from typing import Self

import pytest

from pipeline.batching import BatchLimits
from pipeline.engines.base import Engine
from pipeline.engines.monolith import MonolithEngine
from pipeline.engines.split import SplitEngine
from pipeline.source import Opener, Source
from pipeline.stages import Output
from pipeline.transport.folders import ServedFolders
from pipeline.transport.server import StageServer
from pipeline.v1.lines_pb2 import Lines, LineSource
from pipeline.workloads.events import EVENTS
from pipeline.workloads.events.generate import generate_events
from pipeline.workloads.lines import line_source, read_lines
from tests.engines.conftest import SettingsFor

DATA = b"nonsense\n".join(generate_events(50, seed=1, users=5))
#: Bytes that come at a time: some lines, and a part of one.
CHUNK = 500


class Drip:
    """Writes the next chunk once every line of those before is through.

    As ``on_progress`` of a run. Where that does not happen for a minute the rest is
    left out, so that the run ends.
    """

    def __init__(self, writer: FileIO) -> None:
        self.chunks = 0
        self._writer = writer
        self._sent = b""
        self._give_up = threading.Timer(60, writer.close)

    def __enter__(self) -> Self:
        self._give_up.start()
        self(0)
        return self

    def __exit__(self, *_: object) -> None:
        self._give_up.cancel()
        self._give_up.join()

    def __call__(self, settled: int) -> None:
        """Take note of so many records."""
        if settled < self._sent.count(b"\n") or self._writer.closed:
            return
        chunk = DATA[len(self._sent) :][:CHUNK]
        if not chunk:
            self._writer.close()
            return
        self._writer.write(chunk)
        self._sent += chunk
        self.chunks += 1


@pytest.fixture
def drip(monkeypatch: pytest.MonkeyPatch) -> Iterator[Drip]:
    """The other end of standard input."""
    ours, theirs = os.pipe()
    with FileIO(ours) as stdin, FileIO(theirs, "w") as writer, Drip(writer) as drip:
        monkeypatch.setattr("sys.stdin", stdin)
        yield drip


@pytest.mark.parametrize("name", ["monolith", "split"])
def test_what_has_come_goes_through_while_the_input_is_open(
    settings_for: SettingsFor,
    addresses: dict[str, str],
    tmp_path: Path,
    drip: Drip,
    name: str,
) -> None:
    """The whole lines of each chunk are a batch, and the outcome is as of the file."""
    of_file = settings_for(DATA, 1000)
    expected = MonolithEngine().run(of_file)
    assert of_file.rejects is not None
    files = {path: path.read_bytes() for path in (of_file.output, of_file.rejects)}
    run = replace(
        of_file,
        source=line_source("-"),
        input="-",
        limits=BatchLimits(1000, linger_s=0.001),
        on_progress=drip,
    )
    server = StageServer(
        EVENTS,
        "ingest",
        f"unix:{tmp_path}/open",
        ServedFolders([], standard_input=True),
    )
    engine: Engine = (
        MonolithEngine()
        if name == "monolith"
        else SplitEngine({**addresses, "ingest": server.address})
    )

    report = engine.run(run)
    server.stop_now()

    assert report.batches == drip.chunks > 10
    assert (report.records, report.rejections) == (
        expected.records,
        expected.rejections,
    )
    assert {path: path.read_bytes() for path in files} == files


@pytest.mark.parametrize(
    ("linger_s", "kept_s"),
    [(None, None), (0.25, 0.25), (1e-12, 1e-9), (1e300, 2**63 / 1e9)],
)
def test_the_orchestrator_tells_ingest_how_long_a_batch_lingers(
    settings_for: SettingsFor,
    addresses: dict[str, str],
    tmp_path: Path,
    linger_s: float | None,
    kept_s: float | None,
) -> None:
    """To the nanosecond, but never so short that it is none, nor longer than fits."""
    told = []

    def read(
        spec: LineSource, limits: BatchLimits, max_records: int, inputs: Opener
    ) -> Iterator[Output[Lines]]:
        told.append(limits)
        yield from read_lines(spec, limits, max_records, inputs)

    workload = replace(EVENTS, source=Source(LineSource, Lines, line_source, read))
    server = StageServer(
        workload, "ingest", f"unix:{tmp_path}/told", ServedFolders([tmp_path])
    )
    limits = BatchLimits(10, linger_s=linger_s)
    engine = SplitEngine({**addresses, "ingest": server.address})

    report = engine.run(settings_for(DATA, limits=limits, workload=workload))
    server.stop_now()

    assert told == [replace(limits, linger_s=kept_s)]
    assert report.batches == 10
