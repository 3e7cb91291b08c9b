"""A proxy that passes the messages of gRPC calls on as bytes, and puts faults in."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol, Self, TypeVar

import grpc

from pipeline.errors import UsageError
from pipeline.transport import wire
from pytest_pipeline.servers.faults.fault import Direction, Fault, Kind, corrupted

_WORKERS = 64
# gRPC says that a call without a deadline has centuries left, and refuses to take that.
_LONGEST_S = 365 * 24 * 3600.0
_DROPPED = (grpc.StatusCode.UNAVAILABLE, "dropped by a fault")
_KILLED = (grpc.StatusCode.UNAVAILABLE, "the server was killed by a fault")

T = TypeVar("T")


class Target(Protocol):
    """What `kill` and `pause` act on, such as a `Server`."""

    def kill(self) -> None:
        """End the server at once."""

    def pause(self) -> None:
        """Suspend the server."""


class ProcessTarget:
    """A process of this machine, by its id."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def kill(self) -> None:
        """Send SIGKILL."""
        os.kill(self._pid, signal.SIGKILL)

    def pause(self) -> None:
        """Send SIGSTOP."""
        os.kill(self._pid, signal.SIGSTOP)


class FaultProxy:
    """Stands between clients and a server, and puts faults into their calls.

    It knows no messages, so it serves every service in any language. Each fault
    happens once. Use it in ``with``, or call `close`::

        with FaultProxy(address, ProcessTarget(pid)) as proxy:
            proxy.kill(at=3)
            run_against(proxy.address)
    """

    def __init__(
        self,
        server: str | grpc.Channel,
        target: Target | None = None,
        tls: tuple[grpc.ServerCredentials, grpc.ChannelCredentials] | None = None,
    ) -> None:
        """Start the proxy.

        Args:
            server: The address of the server, or a channel to it, which `close`
                closes.
            target: What `kill` and `pause` act on.
            tls: What the proxy shows to its clients, and what `channel` trusts. None
                for a proxy without TLS; that to the server depends on the channel.
        """
        if isinstance(server, str):
            server = grpc.insecure_channel(server, options=wire.channel_options(server))
        #: The faults that have happened, in that order.
        self.happened: list[Fault] = []
        self._target = target
        self._server_channel = server
        self._planned: list[Fault] = []
        self._calls: set[_Call] = set()
        self._lock = threading.Lock()
        self._more_happened = threading.Condition(self._lock)
        self._closed = threading.Event()
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="fault-proxy")
        self._listener = grpc.server(
            self._pool, handlers=[_AnyMethod(self)], options=wire.OPTIONS
        )
        self._tls = tls
        port = (
            self._listener.add_secure_port("127.0.0.1:0", tls[0])
            if tls
            else self._listener.add_insecure_port("127.0.0.1:0")
        )
        #: Where clients reach the server through the proxy.
        self.address = f"127.0.0.1:{port}"
        self._listener.start()
        self._channel: grpc.Channel | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def channel(self) -> grpc.Channel:
        """A channel through the proxy, which `close` closes."""
        if self._channel is None:
            options = wire.channel_options(self.address)
            self._channel = (
                grpc.secure_channel(self.address, self._tls[1], options=options)
                if self._tls
                else grpc.insecure_channel(self.address, options=options)
            )
        return self._channel

    def stub_for(self, stub: Callable[[grpc.Channel], T]) -> T:
        """Return a client that calls the server through the proxy.

        Args:
            stub: The generated class of the client, such as ``GreeterStub``.
        """
        return stub(self.channel)

    def add(self, fault: Fault) -> Fault:
        """Plan a fault, such as one of `draw_fault`.

        Raises:
            UsageError: It kills or pauses, and the proxy was given no target.
        """
        if self._target is None and fault.kind in ("kill", "pause"):
            raise UsageError(f"fault {fault}: the proxy needs a target; give a process")
        with self._lock:
            self._planned.append(fault)
        return fault

    def kill(self, at: int, of: Direction = "request", method: str = "") -> Fault:
        """End the server in place of a message; the call ends as UNAVAILABLE."""
        return self._add("kill", at, of, method=method)

    def pause(self, at: int, of: Direction = "request", method: str = "") -> Fault:
        """Suspend the server before a message is passed on."""
        return self._add("pause", at, of, method=method)

    def slow(
        self, at: int, seconds: float, of: Direction = "request", method: str = ""
    ) -> Fault:
        """Hold a message, and those behind it in its call."""
        return self._add("slow", at, of, seconds=seconds, method=method)

    def drop_call(self, at: int, of: Direction = "request", method: str = "") -> Fault:
        """Cut the call in place of a message: UNAVAILABLE to the client."""
        return self._add("drop_call", at, of, method=method)

    def drop_connection(
        self, at: int, of: Direction = "request", method: str = ""
    ) -> Fault:
        """Cut every call that is open, as the loss of a connection does."""
        return self._add("drop_connection", at, of, method=method)

    def corrupt(
        self, at: int, of: Direction = "request", seed: int = 0, method: str = ""
    ) -> Fault:
        """Invert one byte of a message, which ``seed`` chooses."""
        return self._add("corrupt", at, of, seed=seed, method=method)

    def half_close(self, at: int, of: Direction = "request", method: str = "") -> Fault:
        """End the stream of requests, or of replies, in place of a message."""
        return self._add("half_close", at, of, method=method)

    def refuse(
        self, status: str, at: int = 1, of: Direction = "request", method: str = ""
    ) -> Fault:
        """End the call with a status, such as ``"RESOURCE_EXHAUSTED"``."""
        return self._add("refuse", at, of, status=status, method=method)

    def _add(self, kind: Kind, at: int, of: Direction, **more: Any) -> Fault:
        return self.add(Fault(kind, at, of, **more))

    def wait_happened(self, count: int, timeout: float) -> bool:
        """Wait until faults have happened.

        Args:
            count: How many.
            timeout: Seconds to wait at most.

        Returns:
            Whether they have.
        """
        with self._more_happened:
            return self._more_happened.wait_for(
                lambda: len(self.happened) >= count, timeout
            )

    def close(self) -> None:
        """Cut the calls that are open, and end the proxy."""
        self._closed.set()
        if self._channel is not None:
            self._channel.close()
        self._server_channel.close()
        self._listener.stop(0).wait()
        self._pool.shutdown()

    def relay(
        self, method: str, requests: Iterator[bytes], context: grpc.ServicerContext
    ) -> Iterator[bytes]:
        """Pass a call on to the server, and its replies back.

        Args:
            method: The RPC, as ``/package.Service/Method``.
            requests: The messages of the client.
            context: The call of the client.

        Yields:
            The replies of the server.
        """
        call = _Call(self, method)
        with self._lock:
            self._calls.add(call)
        try:
            yield from call.relay(self._server_channel, requests, context)
        finally:
            with self._lock:
                self._calls.discard(call)

    def due(self, of: Direction, number: int, method: str) -> Fault | None:
        """Return the fault of a message, and take it off the plan."""
        with self._lock:
            for fault in self._planned:
                if fault.concerns(of, number, method):
                    self._planned.remove(fault)
                    return fault
        return None

    def act(self, fault: Fault, call: _Call, message: bytes) -> bytes | None:
        """Do what a fault does.

        Args:
            fault: The fault of the message.
            call: The call of the message.
            message: The message.

        Returns:
            The message to pass on; None if the stream ends here.
        """
        if fault.kind == "pause" and self._target is not None:
            self._target.pause()
        # Before a client can see the fault, or a test could look too early.
        with self._more_happened:
            self.happened.append(fault)
            self._more_happened.notify_all()
        if fault.kind == "slow":
            self._closed.wait(fault.seconds)
        elif fault.kind == "corrupt":
            return corrupted(message, fault.seed)
        elif fault.kind != "pause":
            self._end_stream(fault, call)
            return None
        return message

    def _end_stream(self, fault: Fault, call: _Call) -> None:
        if fault.kind == "kill" and self._target is not None:
            # The client learns of it when the server has ended, not while it is ending.
            with call.changing:
                self._target.kill()
                call.end(*_KILLED)
        elif fault.kind == "drop_connection":
            with self._lock:
                every = list(self._calls)
            for each in every:
                each.end(*_DROPPED)
        elif fault.kind == "drop_call":
            call.end(*_DROPPED)
        elif fault.kind == "refuse":
            call.end(grpc.StatusCode[fault.status], "refused by a fault")
        elif fault.of == "reply":
            call.end(grpc.StatusCode.OK, "")


class _AnyMethod(grpc.GenericRpcHandler):
    """Handles every RPC, whatever its kind, without decoding its messages."""

    def __init__(self, proxy: FaultProxy) -> None:
        self._proxy = proxy

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[Any, Any]:
        # Every kind of call is a stream of messages each way on the wire.
        return grpc.stream_stream_rpc_method_handler(
            partial(self._proxy.relay, handler_call_details.method)
        )


class _Call:
    """A call through the proxy: one with the client, one with the server."""

    def __init__(self, proxy: FaultProxy, method: str) -> None:
        self._proxy = proxy
        self._method = method
        self._onward: Any = None
        #: Held while a fault decides how the call ends.
        self.changing = threading.Lock()
        # How a fault has ended the call.
        self._ending: tuple[grpc.StatusCode, str] | None = None

    def end(self, code: grpc.StatusCode, details: str) -> None:
        """End both calls, the client's with a status."""
        self._ending = code, details
        if self._onward is not None:
            self._onward.cancel()

    def relay(
        self,
        channel: grpc.Channel,
        requests: Iterator[bytes],
        context: grpc.ServicerContext,
    ) -> Iterator[bytes]:
        """Pass requests on and replies back."""
        start_call: Any = channel.stream_stream(self._method)
        onward = start_call(
            self._passed_on("request", requests),
            timeout=min(context.time_remaining(), _LONGEST_S),
            metadata=_user_metadata(context.invocation_metadata()),
        )
        self._onward = onward
        # A fault at the first request may have come before.
        if self._ending is not None or not context.add_callback(onward.cancel):
            onward.cancel()
        try:
            started = False
            for reply in self._passed_on("reply", onward):
                if not started:
                    context.send_initial_metadata(onward.initial_metadata())
                    started = True
                yield reply
        finally:
            # A fault may have ended the replies before the server did.
            onward.cancel()
        with self.changing:
            ending = self._ending
        if ending is not None:
            if ending[0] is not grpc.StatusCode.OK:
                context.abort(*ending)
            return
        context.set_trailing_metadata(onward.trailing_metadata())
        if onward.code() is not grpc.StatusCode.OK:
            context.abort(onward.code(), onward.details())

    def _passed_on(self, of: Direction, messages: Iterator[bytes]) -> Iterator[bytes]:
        """Yield messages until the stream, or a fault, ends."""
        number = 0
        try:
            for message in messages:
                number += 1
                fault = self._proxy.due(of, number, self._method)
                if fault is None:
                    yield message
                    continue
                passed = self._proxy.act(fault, self, message)
                if passed is None:
                    return
                yield passed
        except grpc.RpcError:
            # The status says why. A client that is gone has closed nothing.
            if self._onward is not None:
                self._onward.cancel()


def _user_metadata(metadata: Any) -> tuple[tuple[str, str | bytes], ...]:
    """Return metadata without what gRPC itself sends."""
    return tuple(
        (key, value)
        for key, value in metadata
        if key != "user-agent" and not key.startswith("grpc-")
    )
