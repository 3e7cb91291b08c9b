"""Check that a stage server is ready."""

from __future__ import annotations

import asyncio

from grpc_health.v1 import health_pb2

from pipeline.errors import StageError
from pipeline.transport.client import CallEnded, Channel, StatusCode
from pipeline.transport.wire import proxy_hint

_CHECK = "/grpc.health.v1.Health/Check"
_TIMEOUT_S = 10.0


async def check_health(
    stage: str, address: str, channel: Channel, timeout_s: float = _TIMEOUT_S
) -> None:
    """Raise StageError unless the server at ``address`` reports SERVING in time."""
    call = channel.call(_CHECK)
    raw, code = None, StatusCode.OK
    try:
        async with asyncio.timeout(timeout_s):
            try:
                await call.send(health_pb2.HealthCheckRequest().SerializeToString())
                await call.half_close()
                raw = await call.receive()
            except CallEnded:
                code = (await call.status()).code
    except TimeoutError:
        call.cancel()
        code = StatusCode.DEADLINE_EXCEEDED
    if code is StatusCode.UNAVAILABLE:
        raise StageError(
            f"stage {stage}: nobody answers at {address}{proxy_hint(address)}"
        )
    if raw is None:
        raise StageError(
            f"stage {stage}: what answers at {address} has no health service "
            f"({code.name})"
        )
    reply = health_pb2.HealthCheckResponse.FromString(raw)
    if reply.status != health_pb2.HealthCheckResponse.SERVING:
        raise StageError(f"stage {stage}: the server at {address} is not ready")
