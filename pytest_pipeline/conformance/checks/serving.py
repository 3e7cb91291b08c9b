"""Starting, telling of itself, and stopping."""

from __future__ import annotations

import asyncio
import signal
import time

import grpc
from grpc_reflection.v1alpha import reflection_pb2

from pipeline.errors import StageError
from pipeline.transport import wire
from pipeline.transport.process_group import signal_group
from pytest_pipeline.conformance.check import (
    check,
    declares_reflection,
    declares_timing,
    is_ours,
)
from pytest_pipeline.conformance.leg import Violation
from pytest_pipeline.conformance.peer import Peer

# After that a server that was asked to stop is ended by force.
_STOP_S = 5.0
# A server that hears a signal drains, refuses new calls, or is gone.
_HEARD_S = 1.0
_POLL_S = 0.01
_NS = 1e9


@check("start.handshake", is_ours)
def handshake(peer: Peer) -> None:
    """Whoever has started the stage finds it by the line that it prints, and must be
    able to trust what the line says.
    """
    said = peer.server.handshake
    for key, wanted in (("stage", peer.stage.name), ("workload", peer.workload.name)):
        if said.get(key, wanted) != wanted:
            raise Violation(
                f"its handshake says {key} {said[key]!r}, but it is checked as {wanted}"
            )


@check("start.health")
def health(peer: Peer) -> None:
    """A run starts when every stage says that it serves."""
    if peer.server.health != "SERVING":
        raise Violation(
            f"its health service says {peer.server.health} for the empty service name, "
            f"not SERVING"
        )


@check("start.reflection", declares_reflection)
async def reflection(peer: Peer) -> None:
    """Tools find out by reflection what a server speaks, if it is said to have it."""
    listed = await _listed(peer, "v1") | await _listed(peer, "v1alpha")
    if peer.declaration.reflection and wire.STAGE_SERVICE not in listed:
        raise Violation(f"reflection does not list {wire.STAGE_SERVICE}")
    if listed and not peer.declaration.reflection:
        raise Violation("declares that it has no reflection, but answers it")


async def _listed(peer: Peer, version: str) -> set[str]:
    """Return the services that reflection lists; none where it is not there."""
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    async with peer.server.aio_channel() as channel:
        info = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        try:
            return {
                service.name
                async for reply in info(iter([request]), timeout=peer.timeout_s)
                for service in reply.list_services_response.service
            }
        except grpc.aio.AioRpcError:
            return set()


@check("stop.drain", is_ours)
async def drain(peer: Peer) -> None:
    """A server is replaced in mid-run, so on SIGTERM it answers what is open, and then
    ends by itself.
    """
    given = peer.given((4, 4))
    try:
        async with peer.leg() as leg:
            await leg.send(given[0].batch)
            await leg.receive()
            _ask_to_stop(peer)
            await _heeds_it(peer)
            await leg.send(given[1].batch)
            await leg.half_close()
            ending = await leg.rest()
        # With no channel left: a server that drains may wait for a sign of an idle one.
        ended = await _ends(peer)
    finally:
        peer.server.kill()
        await _starts_again(peer)
    if ending.code is not grpc.StatusCode.OK or len(ending.replies) != 2:
        raise Violation(
            f"asked to stop with a stream open, it answered {len(ending.replies)} of 2 "
            f"batches and ended the stream with {ending.how}"
        )
    if not ended:
        raise Violation(f"was asked to stop, and still runs after {_STOP_S:g} s")


def _ask_to_stop(peer: Peer) -> None:
    pid = peer.server.pid
    if pid is None:
        raise Violation("ended before it was asked to stop")
    signal_group(pid, signal.SIGTERM)


async def _starts_again(peer: Peer) -> None:
    try:
        await asyncio.to_thread(peer.server.restart)
    except StageError as error:
        raise Violation(f"it was stopped, and: {error}") from None


async def _heeds_it(peer: Peer) -> None:
    """Wait for a sign that a server has heard the signal; it need not give one."""
    deadline = time.monotonic() + _HEARD_S
    while not peer.server.ending and time.monotonic() < deadline:
        health = await asyncio.to_thread(lambda: peer.server.health)
        peer.server.close_channel()
        if health != "SERVING":
            return
        await asyncio.sleep(_POLL_S)


async def _ends(peer: Peer) -> bool:
    deadline = time.monotonic() + _STOP_S
    while not peer.server.ending:
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_POLL_S)
    return True


@check("timing.plausible", declares_timing)
async def plausible(peer: Peer) -> None:
    """The share of a run that is work is worked out from what its stages tell, so
    their times must be told where they say so, and fit into the time that has passed.
    """
    started = time.monotonic()
    replies = await peer.exchange_well([one.batch for one in peer.given((9, 9, 9))])
    passed = time.monotonic() - started
    told = 0
    for reply in replies:
        timing = reply.timing
        if peer.declaration.timing and not timing.process_ns:
            raise Violation(f"the reply to batch {reply.number} tells no time")
        if not peer.declaration.timing and reply.HasField("timing"):
            raise Violation(
                f"declares that it tells no times, but the reply to batch "
                f"{reply.number} does"
            )
        told += timing.wait_ns + timing.decode_ns + timing.process_ns
        told += timing.encode_ns + timing.send_ns
    if told / _NS > passed:
        raise Violation(
            f"tells of {told / _NS:.3f} s in a stream that took {passed:.3f} s"
        )


CHECKS = (handshake, health, reflection, drain, plausible)
