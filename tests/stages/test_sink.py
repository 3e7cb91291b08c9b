"""A sink in any language publishes no false result, with the right permissions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.message import Message

from pipeline.languages import PYTHON
from pipeline.transport.stubs import SinkStub
from pipeline.transport.wire import channel_options, pack
from pipeline.v1.events_pb2 import EVENT_TYPE_CLICK, Total, Totals
from pipeline.v1.pipeline_pb2 import WriteRequest
from pipeline.v1.work_items_pb2 import Scores, ScoreTotals
from pipeline.workloads.events.aggregate import to_bytes
from tests.stages.conftest import NAMES, StartServers

RESULT = "result"


@pytest.fixture(params=[PYTHON, *NAMES])
def name(request: pytest.FixtureRequest) -> str:
    """Each language, Python too."""
    return str(request.param)


def clicks(count: int, total: int) -> Totals:
    """Return the totals of so many clicks."""
    one = Total(type=EVENT_TYPE_CLICK, count=count, sum=to_bytes(total))
    return Totals(totals=[one])


def scores(*final_scores: float) -> Scores:
    """Return the final scores of items, whose sum is said to be 1."""
    count = len(final_scores)
    return Scores(
        record=range(1, count + 1),
        id=range(1, count + 1),
        final_score=final_scores,
        totals=ScoreTotals(count=count, numerator=b"\x01", minimum=1, maximum=1),
    )


def steps(payloads: list[Message], records: int) -> Iterator[WriteRequest]:
    """Yield the steps of a run that commits so many records."""
    step = WriteRequest()
    step.target.path = RESULT
    yield step
    for number, payload in enumerate(payloads):
        step = WriteRequest()
        step.batch.number = number
        pack(payload, into=step.batch.payload)
        yield step
    step = WriteRequest()
    step.commit.batches = len(payloads)
    step.commit.records = records
    yield step


def write(address: str, payloads: list[Message], records: int) -> grpc.StatusCode:
    """Send a run to the sink at an address; return the status."""
    options = channel_options(address)
    with grpc.insecure_channel(address, options=options) as channel:
        try:
            SinkStub(channel).Write(steps(payloads, records), timeout=20)
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return code
    return grpc.StatusCode.OK


@pytest.mark.parametrize(
    ("workload", "payloads", "records"),
    [
        ("events", [clicks(2**64 - 1, 5), clicks(1, 5), clicks(1, 5)], 1),
        ("events", [clicks(1, 2**1100)], 1),
        ("events", [clicks(0, 5)], 0),
        ("work-items", [scores(1.0, float("nan"))], 2),
        ("work-items", [scores(float("-inf"))], 1),
    ],
    ids=["count-over-64-bits", "average-too-large", "no-count", "nan", "infinite"],
)
def test_payloads_that_contradict_themselves_publish_nothing(
    name: str,
    workload: str,
    payloads: list[Message],
    records: int,
    tmp_path: Path,
    start_servers: StartServers,
) -> None:
    """The call fails as for any other fault of a stage, or of the counts."""
    address = start_servers(name, workload)["sink"].address

    code = write(address, payloads, records)

    assert code in (grpc.StatusCode.INTERNAL, grpc.StatusCode.DATA_LOSS)
    assert not (tmp_path / RESULT).exists()


def test_a_new_result_has_the_permissions_of_any_new_file(
    name: str, tmp_path: Path, start_servers: StartServers
) -> None:
    """They are up to the umask."""
    address = start_servers(name, "events")["sink"].address

    assert write(address, [clicks(1, 5)], 1) is grpc.StatusCode.OK

    (tmp_path / "other").touch()
    assert (tmp_path / RESULT).stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_result_that_is_replaced_keeps_its_permissions(
    name: str, tmp_path: Path, start_servers: StartServers
) -> None:
    """Also those that the umask would take away."""
    (tmp_path / RESULT).touch()
    (tmp_path / RESULT).chmod(0o666)
    address = start_servers(name, "events")["sink"].address

    assert write(address, [clicks(1, 5)], 1) is grpc.StatusCode.OK

    assert (tmp_path / RESULT).stat().st_mode & 0o777 == 0o666
