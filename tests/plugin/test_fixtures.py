"""The fixtures of stages and runs, as tests of users have them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings

from pipeline.errors import UsageError
from pipeline.transport.wire import pack, unpack
from pipeline.v1.events_pb2 import Events
from pipeline.v1.lines_pb2 import Lines
from pipeline.v1.pipeline_pb2 import Batch, ReadRequest, Target, WriteRequest
from pipeline.workload import Workload
from pipeline.workloads.lines import line_source
from pytest_pipeline import strategies
from pytest_pipeline.servers.handle import Server
from pytest_pipeline.servers.runs import PipelineRunner

GOOD = b'{"ts":"2026-01-01T00:00:00Z","type":"click","user":"u","value":11}\n'


@pytest.mark.parametrize(
    "stage",
    ["ingest_stage", "parse_stage", "rules_stage", "aggregate_stage", "sink_stage"],
)
@pytest.mark.usefixtures("pipeline_servers")
def test_each_stage_has_a_fixture(request: pytest.FixtureRequest, stage: str) -> None:
    """A live server of that name."""
    server: Server = request.getfixturevalue(stage)

    assert server.health == "SERVING"
    assert server.name == stage.removesuffix("_stage")


def test_pipeline_stages_has_all_servers_in_the_order_of_a_run(
    pipeline_stages: Mapping[str, Server], parse_stage: Server
) -> None:
    """They are the servers of the single fixtures."""
    assert list(pipeline_stages) == ["ingest", "parse", "rules", "aggregate", "sink"]
    assert pipeline_stages["parse"] is parse_stage


def test_a_stub_calls_the_service_of_its_stage(
    ingest_stage: Server,
    parse_stage: Server,
    sink_stage: Server,
    tmp_path: Path,
) -> None:
    """Ingest reads, a transform replies, and the sink writes."""
    path = tmp_path / "in"
    path.write_bytes(GOOD)
    request = ReadRequest(batch_records=1, batch_bytes=1000)
    pack(line_source(path), into=request.source)

    (batch,) = ingest_stage.stub.Read(request)
    (reply,) = parse_stage.stub.Process(iter([batch]))
    target = WriteRequest(target=Target(path=str(tmp_path / "out")))
    call = sink_stage.stub.Write.future(iter([target]))

    assert list(unpack(reply.payload, Events).value) == [11]
    assert "no commit" in call.exception().details()


@pytest.mark.pipeline(
    workload=["events", "work-items", "mixed"], batch_sizes=[1, 7], events=30
)
def test_a_run_gives_report_results_and_rejections(
    run_pipeline: PipelineRunner,
    pipeline_workload: Workload,
    pipeline_batch_size: int,
) -> None:
    """For the batch size and the workload of the test; as the monolith does."""
    run = run_pipeline()

    assert run.report.workload == pipeline_workload.name
    assert run.report.batch_size == pipeline_batch_size
    assert run.report.records.ingested == 30
    assert run.output == run_pipeline(engine="monolith").output
    assert run.results


@pytest.mark.pipeline(servers="subprocess", transport="tcp", batch_sizes=10)
def test_a_run_may_have_replicas(run_pipeline: PipelineRunner) -> None:
    """The servers stay up for the next test."""
    run = run_pipeline(replicas={"parse": 2})

    assert run.report.stages["parse"].replicas == 2
    assert run.output == run_pipeline(engine="monolith").output


@pytest.mark.pipeline(batch_sizes=2)
def test_a_run_takes_bytes_text_or_a_file(
    run_pipeline: PipelineRunner, tmp_path: Path
) -> None:
    """The file may be anywhere."""
    path = tmp_path / "in"
    path.write_bytes(GOOD + b"x\n")

    runs = [run_pipeline(GOOD + b"x\n"), run_pipeline(path)]
    runs.append(run_pipeline(GOOD.decode() + "x\n"))

    assert {run.output for run in runs} == {runs[0].output}
    assert runs[0].results[0]["sum"] == 11
    assert runs[0].rejections == [
        {"record": 2, "stage": "parse", "reason": "malformed_json"}
    ]


@pytest.mark.pipeline(workload="work-items", batch_sizes=10, events=5)
def test_options_of_the_records_are_arguments_of_a_run(
    run_pipeline: PipelineRunner,
) -> None:
    """Options that the workload does not have are refused."""
    assert run_pipeline(records=3, iterations=1).report.records.ingested == 3
    with pytest.raises(UsageError, match="unexpected keyword argument 'users'"):
        run_pipeline(users=3)
    with pytest.raises(UsageError, match="makes its own records"):
        run_pipeline(GOOD)


@given(strategies.event_files())
@settings(max_examples=20)
@pytest.mark.pipeline(batch_sizes=3)
def test_property_tests_may_use_the_fixtures(
    run_pipeline: PipelineRunner, data: bytes
) -> None:
    """They have session scope, so hypothesis accepts them."""
    lines = GOOD + data

    assert run_pipeline(lines).output == run_pipeline(lines, engine="monolith").output


@given(strategies.event_files())
@settings(max_examples=5)
def test_a_stage_killed_in_one_example_is_back_in_the_next(
    parse_stage: Server, data: bytes
) -> None:
    """It works as in the first example."""
    batch = Batch(number=0, records=1)
    pack(Lines(first_record=1, text=data or b"\n"), into=batch.payload)

    (reply,) = parse_stage.stub.Process(iter([batch]))
    parse_stage.kill()

    assert reply.number == 0
