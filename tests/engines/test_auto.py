"""Batch size ``auto``: the same results, and sizes that follow the load."""

from __future__ import annotations

import os
import threading
from concurrent import futures
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from pipeline.engines.base import Engine
from pipeline.engines.monolith import MonolithEngine
from pipeline.engines.split import SplitEngine
from pipeline.source import Source
from pipeline.stages import Output, Stage
from pipeline.transport import wire
from pipeline.transport.folders import ServedFolders
from pipeline.transport.server import RpcServer, StageServer
from pipeline.transport.servicers import IngestServicer
from pipeline.v1.events_pb2 import Events
from pipeline.v1.lines_pb2 import Lines, LineSource
from pipeline.v1.pipeline_pb2 import Batch, ReadRequest
from pipeline.workloads.events import EVENTS
from pipeline.workloads.events.generate import generate_events
from pipeline.workloads.lines import line_source, read_lines
from tests.engines.conftest import SettingsFor

DATA = b"nonsense\n".join(generate_events(5000, seed=1, users=5))
RECORDS = DATA.count(b"\n")
GOOD = b'{"ts":"2026-01-01T00:00:00Z","type":"click","user":"u","value":10}\n'


@pytest.mark.parametrize("name", ["monolith", "split", "two parse servers"])
def test_results_and_rejects_are_those_of_a_fixed_size(
    settings_for: SettingsFor, addresses: dict[str, str], tmp_path: Path, name: str
) -> None:
    """Bit by bit; the report has the sizes that were used."""
    fixed = settings_for(DATA, 7)
    MonolithEngine().run(fixed)
    assert fixed.rejects is not None
    files = {path: path.read_bytes() for path in (fixed.output, fixed.rejects)}
    second = StageServer(EVENTS, "parse", f"unix:{tmp_path}/second", ServedFolders([]))
    engines: dict[str, Engine] = {
        "monolith": MonolithEngine(),
        "split": SplitEngine(addresses),
        "two parse servers": SplitEngine(
            {**addresses, "parse": [addresses["parse"], second.address]}
        ),
    }

    report = engines[name].run(replace(fixed, limits=None))
    second.stop_now()

    assert {path: path.read_bytes() for path in files} == files
    assert report.batch_size == "auto"
    sizes = report.batch_sizes
    assert sizes is not None
    assert sizes.smallest == 1 < sizes.mean < sizes.largest
    assert sizes.mean == pytest.approx(RECORDS / report.batches)


def test_an_ingest_that_knows_no_credit_sends_batches_of_the_usual_size(
    settings_for: SettingsFor, addresses: dict[str, str], tmp_path: Path
) -> None:
    """One in another language, say."""
    servicer = IngestServicer(EVENTS, ServedFolders([tmp_path]))

    def read_without_credit(
        request: ReadRequest, context: grpc.ServicerContext
    ) -> object:
        request.run = ""
        return servicer.Read(request, context)

    def add_ingest(server: grpc.Server) -> list[str]:
        handler = grpc.unary_stream_rpc_method_handler(
            read_without_credit,
            request_deserializer=ReadRequest.FromString,
            response_serializer=Batch.SerializeToString,
        )
        server.add_generic_rpc_handlers(
            [
                grpc.method_handlers_generic_handler(
                    wire.INGEST_SERVICE, {"Read": handler}
                )
            ]
        )
        return [wire.INGEST_SERVICE]

    ingest = RpcServer("ingest", add_ingest, f"unix:{tmp_path}/plain")

    report = SplitEngine({**addresses, "ingest": ingest.address}).run(
        replace(settings_for(DATA), limits=None)
    )
    ingest.stop_now()

    assert report.batches == -(-RECORDS // 1000)


@pytest.mark.parametrize("name", ["monolith", "split"])
def test_a_source_that_looks_at_its_limits_once_has_the_usual_size(
    settings_for: SettingsFor, addresses: dict[str, str], tmp_path: Path, name: str
) -> None:
    """It would go on with the size of the first batch, which is 1."""
    read_once = Source(LineSource, Lines, line_source, read_lines)
    workload = replace(EVENTS, source=read_once)
    ingest = StageServer(
        workload, "ingest", f"unix:{tmp_path}/once", ServedFolders([tmp_path])
    )
    engine: Engine = MonolithEngine()
    if name == "split":
        engine = SplitEngine({**addresses, "ingest": ingest.address})

    report = engine.run(replace(settings_for(DATA), workload=workload, limits=None))
    ingest.stop_now()

    assert report.batches == -(-RECORDS // 1000)


@pytest.mark.parametrize("name", ["monolith", "split"])
def test_records_that_come_while_a_stage_works_go_together(
    settings_for: SettingsFor,
    addresses: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    """A record that comes first goes alone and at once."""
    working, go_on = threading.Event(), threading.Event()
    parse = EVENTS.transform("parse")
    batches: list[int] = []

    def work(lines: Lines) -> Output[Events]:
        batches.append(lines.text.count(b"\n"))
        working.set()
        assert go_on.wait(60)
        return parse.function(lines)

    workload = replace(
        EVENTS,
        transforms=(Stage("parse", Lines, Events, work), *EVENTS.transforms[1:]),
    )
    served = ServedFolders([], standard_input=True)
    servers = [
        StageServer(workload, stage, f"unix:{tmp_path}/my-{stage}", served)
        for stage in ("ingest", "parse")
    ]
    engine: Engine = MonolithEngine()
    if name == "split":
        mine = dict(zip(("ingest", "parse"), (s.address for s in servers), strict=True))
        engine = SplitEngine({**addresses, **mine})
    settings = replace(
        settings_for(b""),
        workload=workload,
        source=line_source("-"),
        input="-",
        limits=None,
    )
    ours, theirs = os.pipe()
    with (
        os.fdopen(ours, "rb", 0) as stdin,
        os.fdopen(theirs, "wb", 0) as writer,
        futures.ThreadPoolExecutor() as pool,
    ):
        monkeypatch.setattr("sys.stdin", stdin)
        run = pool.submit(engine.run, settings)
        writer.write(GOOD)
        assert working.wait(60)
        writer.write(GOOD * 2)
        writer.close()
        go_on.set()
        report = run.result(60)
    for server in servers:
        server.stop_now()

    assert batches == [1, 2]
    assert report.records.ingested == 3
