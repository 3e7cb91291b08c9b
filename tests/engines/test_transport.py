"""The engines need no more of a transport than `pipeline.transport.client` says."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

import pipeline.engines
from pipeline.accounting import RunAccount, StageAccount
from pipeline.engines.calls import StageConnection
from pipeline.engines.legs import InFlightBatch, IngestLeg, SinkLeg, TransformLeg
from pipeline.errors import ContractError
from pipeline.v1.pipeline_pb2 import ReadRequest
from tests.engines.fake_calls import FakeCall

ENGINES = Path(pipeline.engines.__file__).parent


async def no_message() -> bytes:
    """Return bytes that end in the middle of a field."""
    return b"\x08"


class FakeChannel:
    """A channel of calls that are answered by bytes which are no message."""

    def call(self, _: str) -> FakeCall:
        """Begin a call."""
        return FakeCall(no_message)

    async def close(self) -> None:
        """Do nothing."""


async def settle(batch: InFlightBatch) -> None:
    """Do nothing with a batch that the sink was sent."""


RECEIVING: dict[str, Callable[[StageConnection], Awaitable[object]]] = {
    "ingest": lambda to: IngestLeg(to, ReadRequest(), RunAccount([])).receive(),
    "parse": lambda to: TransformLeg(to).receive(),
    "sink": lambda to: SinkLeg(to, "result", settle).commit(0, 0),
}


@pytest.mark.parametrize("stage", RECEIVING)
def test_bytes_that_are_no_message_break_the_contract(stage: str) -> None:
    """Whoever the stage is, it is named."""

    async def receive() -> None:
        connection = StageConnection(
            stage,
            "unix:/s",
            FakeChannel(),
            StageAccount(),
            lambda: "",
            lambda: None,
            lambda *_: None,
        )
        await RECEIVING[stage](connection)

    with pytest.raises(ContractError, match=f"stage {stage} sent bytes that are no"):
        asyncio.run(receive())


def test_the_engines_import_no_library_of_grpc() -> None:
    """Another transport comes as one module beside `pipeline.transport.grpcio`."""
    modules = sorted(ENGINES.rglob("*.py"))

    assert not [each for each in modules if "grpc" in _imported_by(each)]
    assert "pipeline" in set().union(*map(_imported_by, modules))


def _imported_by(module: Path) -> set[str]:
    """Return the packages that a module imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names}
