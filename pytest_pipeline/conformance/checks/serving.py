"""Checks of every server: start, health, reflection and stop."""

from __future__ import annotations

import asyncio
import signal
import time

import grpc
from grpc_reflection.v1alpha import reflection_pb2

from pipeline.errors import StageError
from pipeline.transport.process_group import signal_group
from pytest_pipeline.conformance.check import (
    check,
    declares_reflection,
    is_started_by_command,
)
from pytest_pipeline.conformance.errors import Violation
from pytest_pipeline.conformance.stage_under_test import AnyStage

# A server that was asked to stop is killed after this time.
_STOP_S = 5.0
# How long to wait for a sign that a server has handled SIGTERM.
_HEARD_S = 1.0
_POLL_S = 0.01


@check("start.handshake", is_started_by_command)
def handshake(stage: AnyStage) -> None:
    """A stage is found by the line that it prints at its start, so the stage and
    workload in that line must be right.
    """
    said = stage.server.handshake
    for key, wanted in (
        ("stage", stage.name),
        ("workload", stage.workload.name),
    ):
        if said.get(key, wanted) != wanted:
            raise Violation(
                f"its handshake says {key} {said[key]!r}, but it is checked as {wanted}"
            )


@check("start.health")
def health(stage: AnyStage) -> None:
    """A run does not start before the health service of every stage reports SERVING."""
    if stage.server.health != "SERVING":
        raise Violation(
            f"its health service says {stage.server.health} for the empty service "
            f"name, not SERVING"
        )


@check("start.reflection", declares_reflection)
async def reflection(stage: AnyStage) -> None:
    """Tools discover by reflection what a server offers, so a declaration about it must
    be true.
    """
    listed = await _listed(stage, "v1") | await _listed(stage, "v1alpha")
    if stage.declaration.reflection and stage.service not in listed:
        raise Violation(f"reflection does not list {stage.service}")
    if listed and not stage.declaration.reflection:
        raise Violation("declares that it has no reflection, but answers it")


async def _listed(stage: AnyStage, version: str) -> set[str]:
    """Return the services that reflection lists; none if it is not served."""
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    async with stage.server.aio_channel() as channel:
        info = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        try:
            return {
                service.name
                async for reply in info(iter([request]), timeout=stage.timeout_s)
                for service in reply.list_services_response.service
            }
        except grpc.aio.AioRpcError:
            return set()


@check("stop.drain", is_started_by_command)
async def drain(stage: AnyStage) -> None:
    """A server is replaced in mid-run, so on SIGTERM it must finish its open streams
    and then exit by itself.
    """

    async def ask_to_stop() -> None:
        _ask_to_stop(stage)
        await _wait_until_heeded(stage)

    try:
        wrong = await stage.work_around(ask_to_stop)
        # After the channel is closed: a draining server may wait for an idle client.
        has_ended = await _ends_in_time(stage)
    finally:
        stage.server.kill()
        await _restart(stage)
    if wrong:
        raise Violation(f"asked to stop with a stream open, {wrong}")
    if not has_ended:
        raise Violation(f"was asked to stop, and still runs after {_STOP_S:g} s")


def _ask_to_stop(stage: AnyStage) -> None:
    pid = stage.server.pid
    if pid is None:
        raise Violation("ended before it was asked to stop")
    signal_group(pid, signal.SIGTERM)


async def _restart(stage: AnyStage) -> None:
    try:
        await asyncio.to_thread(stage.server.restart)
    except StageError as error:
        raise Violation(f"it was stopped, and: {error}") from None


async def _wait_until_heeded(stage: AnyStage) -> None:
    """Wait for a sign that the server has handled the signal; there may be none."""
    deadline = time.monotonic() + _HEARD_S
    while not stage.server.ending and time.monotonic() < deadline:
        health = await asyncio.to_thread(lambda: stage.server.health)
        stage.server.close_channel()
        if health != "SERVING":
            return
        await asyncio.sleep(_POLL_S)


async def _ends_in_time(stage: AnyStage) -> bool:
    deadline = time.monotonic() + _STOP_S
    while not stage.server.ending:
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_POLL_S)
    return True


CHECKS = (handshake, health, reflection, drain)
