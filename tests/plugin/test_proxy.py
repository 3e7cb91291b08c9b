"""A proxy in the environment does not come between a test and its servers."""

from __future__ import annotations

import pytest

from pipeline.errors import StageError
from pytest_pipeline import PipelineRunner, StageServerFactory
from pytest_pipeline.options import Transport
from tests.plugin.greeter import Greeter, GreeterStub, add_GreeterServicer_to_server


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set a proxy at which nobody listens."""
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_a_server_on_tcp_is_reached(
    stage_server: StageServerFactory, transport: Transport
) -> None:
    """By its channel, and by its address as a server that runs already."""
    server = stage_server(
        Greeter(), add_to_server=add_GreeterServicer_to_server, transport=transport
    )
    assert server.health == "SERVING"
    if transport == "tcp":
        attached = stage_server(server.address, stub=GreeterStub)
        assert attached.health == "SERVING"


@pytest.mark.pipeline(transport="tcp", batch_sizes=[10], events=20)
def test_a_run_reaches_its_stages(run_pipeline: PipelineRunner) -> None:
    """Over TCP, by the channels of the orchestrator."""
    assert run_pipeline().report.records.ingested == 20


def test_a_server_that_only_a_proxy_may_reach_is_refused_by_its_name(
    stage_server: StageServerFactory,
) -> None:
    """The error names the variable that is in the way."""
    with pytest.raises(StageError, match="the variable grpc_proxy sends the call"):
        stage_server("stage.invalid:1", stub=GreeterStub, start_timeout=0.5)
