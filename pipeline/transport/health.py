"""Check that a stage server is ready."""

from __future__ import annotations

import grpc
from grpc_health.v1 import health_pb2

from pipeline.errors import StageError
from pipeline.transport.wire import proxy_hint

_CHECK = "/grpc.health.v1.Health/Check"
_TIMEOUT_S = 10.0


async def check_health(
    stage: str, address: str, channel: grpc.aio.Channel, timeout_s: float = _TIMEOUT_S
) -> None:
    """Raise StageError unless the server at ``address`` reports SERVING in time."""
    check = channel.unary_unary(
        _CHECK,
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    try:
        reply = await check(health_pb2.HealthCheckRequest(), timeout=timeout_s)
    except grpc.aio.AioRpcError as error:
        code = error.code()
        if code is grpc.StatusCode.UNAVAILABLE:
            raise StageError(
                f"stage {stage}: nobody answers at {address}{proxy_hint(address)}"
            ) from error
        raise StageError(
            f"stage {stage}: what answers at {address} has no health service "
            f"({code.name})"
        ) from error
    if reply.status != health_pb2.HealthCheckResponse.SERVING:
        raise StageError(f"stage {stage}: the server at {address} is not ready")
