"""The handle that tests get on a server, wherever it runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pipeline.errors import StageError, UsageError
from pipeline.transport import wire
from pytest_pipeline.options import Hosting
from pytest_pipeline.servers.channels import ChannelMaker
from pytest_pipeline.servers.examples import current_example
from pytest_pipeline.servers.faults.proxy import FaultProxy
from pytest_pipeline.servers.hosts import new_host
from pytest_pipeline.servers.servicers import UserServicer
from pytest_pipeline.servers.specification import ServerSpec
from pytest_pipeline.servers.trace import OpenCalls, Trace, TraceInterceptor
from pytest_pipeline.servers.workspace import Workspace

_HEALTH_S = 2.0
_SETTLE_S = 0.1
# How long the status of a call may take to arrive from a server that has ended.
_STATUS_S = 1.0
_NO_ANSWER = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
_REFUSALS = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)

T = TypeVar("T")


class Server:
    """A live server: a stage, or any gRPC service.

    Tests get one from a fixture such as ``parse_stage``, or from ``stage_server``. A
    server that stays up for the session is brought back before each test, and before
    each example of a property test: it is resumed if it is paused, and restarted if it
    has ended::

        def test_a_killed_stage_is_noticed(parse_stage):
            assert parse_stage.health == "SERVING"
            parse_stage.kill()
            assert parse_stage.health == "UNREACHABLE"
    """

    def __init__(self, spec: ServerSpec, workspace: Workspace) -> None:
        #: The name of the server in errors and reports.
        self.name = spec.name
        #: The last messages to and from the server.
        self.trace = Trace()
        #: Whether the current test has used the server.
        self.used = False
        #: The name of the fixture that keeps the server for several tests.
        self.fixture = ""
        #: The folder below which an ingest may read and a sink may write; None if the
        #: server was told none.
        self.folder = workspace.served if spec.serves_folder else None
        self._kind = spec.hosting
        self._stub_type = spec.stub_type
        self._start_timeout_s = spec.start_timeout_s
        self._channels = ChannelMaker(spec, workspace)
        self._asks_health = spec.health_check
        servicer = spec.what if isinstance(spec.what, UserServicer) else None
        self._is_served_here = servicer is not None
        self._is_made_afresh = servicer is not None and servicer.is_factory
        self.host = new_host(spec, workspace)
        self._channel: grpc.Channel | None = None
        self._plain: grpc.Channel | None = None
        self._stubs: dict[Any, Any] = {}
        self._faults: FaultProxy | None = None
        self._calls = OpenCalls()
        self._closing = threading.Lock()
        self._paused = False
        self._asked_to_end = False
        self._log_start = 0
        self._example: object = None
        # Whether the servicer may have been called since it was made.
        self._is_stale = False
        # Whether tests may have clients of their own, whose calls are not seen here.
        self._address_is_known = False

    def __repr__(self) -> str:
        return f"<Server {self.name} at {self.host.address}>"

    @property
    def kind(self) -> Hosting:
        """Where the server runs: ``inprocess``, ``subprocess`` or ``external``."""
        return self._kind

    @property
    def address(self) -> str:
        """Where the server listens: ``HOST:PORT`` or ``unix:PATH``."""
        self._touch()
        self._address_is_known = True
        return self.host.address

    @property
    def pid(self) -> int | None:
        """The id of its process: this one if in-process, None if external or ended."""
        self._touch()
        return self.host.pid

    @property
    def handshake(self) -> Mapping[str, Any]:
        """The start-up handshake; empty for a server that is not a subprocess."""
        return self.host.handshake

    @property
    def memory(self) -> int | None:
        """Resident memory of its process in bytes; None if ``pid`` is None."""
        import psutil

        pid = self.pid
        return None if pid is None else int(psutil.Process(pid).memory_info().rss)

    @property
    def channel(self) -> grpc.Channel:
        """A channel to the server; the plugin closes it when the test ends."""
        self._touch()
        return self._open_channel()

    @property
    def stub(self) -> Any:
        """A client of the service, made once for ``channel``.

        Raises:
            UsageError: The client of the service is unknown.
        """
        __tracebackhide__ = True
        if self._stub_type is None:
            raise UsageError(
                f"server {self.name}: its stub is not known; call "
                f"server.stub_for(…Stub), or give stage_server(stub=…Stub)"
            )
        return self.stub_for(self._stub_type)

    def stub_for(self, stub: Callable[[grpc.Channel], T]) -> T:
        """Return a client of one of the server's services.

        Args:
            stub: The generated class of the client, such as ``GreeterStub``.

        Returns:
            The client, made once for ``channel``.
        """
        channel = self.channel
        if stub not in self._stubs:
            self._stubs[stub] = stub(channel)
        made: T = self._stubs[stub]
        return made

    def aio_channel(self, options: Sequence[tuple[str, Any]] = ()) -> grpc.aio.Channel:
        """Make a channel for asyncio; use it in ``async with``, which closes it.

        Args:
            options: Channel arguments of gRPC, in addition to those of `channel`.

        Returns:
            A new channel, for the event loop that is running.
        """
        self._touch()
        return self._channels.new_aio(self.host.address, options)

    @property
    def faults(self) -> FaultProxy:
        """A proxy in front of the server that puts faults into calls through it.

        It lives until the test, or the example of a property test, ends.
        """
        self._touch()
        if self._faults is None:
            channel = self._channels.new(self.host.address)
            self._faults = FaultProxy(channel, self, self._channels.of_proxy)
        return self._faults

    @property
    def channel_credentials(self) -> grpc.ChannelCredentials | None:
        """What channels to the server trust; None without TLS."""
        return self._channels.credentials

    @property
    def health(self) -> str:
        """The answer of its health service, such as ``SERVING``.

        It is ``UNREACHABLE`` if there is no answer within two seconds, and the name of
        the status, such as ``UNIMPLEMENTED``, if the server answers with an error.
        """
        self._touch()
        stub: Any = health_pb2_grpc.HealthStub(self._open_channel())
        try:
            reply = stub.Check(health_pb2.HealthCheckRequest(), timeout=_HEALTH_S)
        except grpc.RpcError as error:
            code = error.code()
            return "UNREACHABLE" if code in _NO_ANSWER else str(code.name)
        status: str = health_pb2.HealthCheckResponse.ServingStatus.Name(reply.status)
        return status

    @property
    def logs(self) -> str:
        """What the server has logged in this test; one text of many lines."""
        return self.host.log[self._log_start :]

    @property
    def ending(self) -> str:
        """How the server ended, such as ``ended by SIGKILL``; empty while it runs."""
        return self.host.ending

    @property
    def died(self) -> bool:
        """Whether the server ended without being asked to by `stop` or `kill`."""
        return bool(self.host.ending) and not self._asked_to_end

    def settle(self) -> None:
        """Wait up to 0.1 s for a process that may be dying.

        A connection breaks a moment before the process can be waited for.
        """
        self.host.wait_ended(_SETTLE_S)

    def launch(self) -> None:
        """Start the server; `wait_ready` must follow."""
        __tracebackhide__ = True
        self._asked_to_end = self._paused = self._is_stale = False
        self.host.launch()

    def wait_ready(self) -> None:
        """Wait until the server is ready.

        A servicer that is served here is ready as soon as its server has started, and
        its interceptors see no call but the test's. Any other server is asked for its
        health, or only has to accept a connection if the user has said so.

        Raises:
            StageError: That did not happen in time; the server is ended.
        """
        deadline = time.monotonic() + self._start_timeout_s
        self.host.wait_bound(deadline)
        if self._is_served_here:
            return
        try:
            # On another channel: the remains of a call that is cut short would keep
            # the server from stopping.
            with self._channels.new(self.host.address) as channel:
                if self._asks_health:
                    self._watch_health(channel, deadline)
                else:
                    self._wait_connected(channel, deadline)
        except BaseException:
            self._asked_to_end = True
            if self.kind != "external":
                self.host.kill()
            raise

    def _watch_health(self, channel: grpc.Channel, deadline: float) -> None:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        call = stub.Watch(
            health_pb2.HealthCheckRequest(),
            timeout=max(0.001, deadline - time.monotonic()),
            # Only an external server may not have bound its address yet.
            wait_for_ready=self.kind == "external",
        )
        last = "nothing"
        try:
            for reply in call:
                last = health_pb2.HealthCheckResponse.ServingStatus.Name(reply.status)
                if last == "SERVING":
                    return
        except grpc.RpcError as error:
            # Who refuses a caller is there; an interceptor does it, for instance.
            if error.code() in _REFUSALS:
                return
            raise self._not_ready(error.code(), last) from None
        finally:
            call.cancel()
        raise self._not_ready(grpc.StatusCode.OK, last)

    def _wait_connected(self, channel: grpc.Channel, deadline: float) -> None:
        ready = grpc.channel_ready_future(channel)
        try:
            ready.result(max(0.001, deadline - time.monotonic()))
        except grpc.FutureTimeoutError:
            raise StageError(
                f"stage {self.name} at {self.host.address}: accepted no connection "
                f"within {self._start_timeout_s:g} s"
            ) from None
        finally:
            ready.cancel()

    def _not_ready(self, code: grpc.StatusCode, last: str) -> StageError:
        at = f"stage {self.name} at {self.host.address}"
        proxy = wire.proxy_hint(self.host.address)
        if self.host.ending:
            last_words = next(iter(reversed(self.logs.splitlines())), "nothing")
            return StageError(f"{at}: {self.host.ending}; it last said: {last_words}")
        if code is grpc.StatusCode.UNIMPLEMENTED:
            return StageError(
                f"{at}: has no health service; it must serve grpc.health.v1.Health, or "
                f"give stage_server(health_check=False)"
            )
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return StageError(
                f"{at}: not ready within {self._start_timeout_s:g} s, its health "
                f"service said {last}; --pipeline-start-timeout gives it longer{proxy}"
            )
        return StageError(
            f"{at}: nobody answers its health service ({code.name}){proxy}"
        )

    def stop(self) -> None:
        """Stop the server as SIGTERM does: open calls may finish for 5 s.

        An external server is left running.
        """
        self._end(self.host.stop, _STATUS_S)

    def kill(self) -> None:
        """End the server at once, as SIGKILL does; open calls are cut.

        Raises:
            UsageError: The server is external.
        """
        self._end(self.host.kill, 0.0)

    def _end(self, how: Callable[[], None], status_s: float) -> None:
        self._touch()
        asked_before, self._asked_to_end = self._asked_to_end, True
        # A server that drains pings its clients, and gRPC may answer only while a call
        # is open; an idle channel would delay the end.
        calls = self._calls
        calls.when_idle(self.close_channel)
        try:
            how()
        except UsageError:
            self._asked_to_end = asked_before
            raise
        calls.wait_idle(status_s)
        self.close_channel()

    def pause(self) -> None:
        """Suspend the server as SIGSTOP does: it answers nothing, not even health.

        Raises:
            UsageError: The server is external.
        """
        self._touch()
        self.host.pause()
        self._paused = True

    def resume(self) -> None:
        """Continue after `pause`; messages that came meanwhile are answered.

        Raises:
            UsageError: The server is external.
        """
        self._touch()
        self.host.resume()
        self._paused = False

    def restart(self) -> None:
        """Start the server again, and end it first if it runs.

        It keeps its address if that is still free. An external server is left as it is.

        Raises:
            StageError: The server is not ready in time.
        """
        if self.kind == "external":
            return
        self._enter_example()
        self.stop()
        self.launch()
        self.wait_ready()

    def reset(self) -> None:
        """Bring the server back for the next test, with an empty log and trace.

        A servicer that the user gave a factory for is made afresh.
        """
        self.disconnect()
        self._bring_back()
        self.trace.clear()
        self._log_start = len(self.host.log)
        self._example = None
        self.used = False

    def close(self) -> None:
        """Stop the server for good."""
        self._asked_to_end = True
        self.disconnect()
        self.host.stop()

    def _touch(self) -> None:
        """Mark the server as used; bring it back if a new example has begun."""
        self.used = True
        if self._enter_example():
            self._close_faults()
            self._bring_back()
        self._is_stale = True

    def _enter_example(self) -> bool:
        """Return whether a new example of hypothesis has begun since the last call."""
        example = current_example()
        # In a thread that an example started, there is no current example.
        if example is None or example is self._example:
            return False
        self._example = example
        return True

    def _bring_back(self) -> None:
        if self._paused:
            self.host.resume()
            self._paused = False
        is_stale = self._is_stale or self._address_is_known
        if self.host.ending or (self._is_made_afresh and is_stale):
            self.close_channel()
            # A process that ended by itself has not been reaped.
            self.host.stop()
            self.launch()
            self.wait_ready()

    def _open_channel(self) -> grpc.Channel:
        if self._channel is None:
            self._plain = self._channels.new(self.host.address)
            self._channel = grpc.intercept_channel(
                self._plain, TraceInterceptor(self.trace, self._calls)
            )
        return self._channel

    def disconnect(self) -> None:
        """Close the channel and the proxy of faults; the next use opens new ones."""
        self._close_faults()
        self.close_channel()

    def _close_faults(self) -> None:
        proxy, self._faults = self._faults, None
        if proxy is not None:
            proxy.close()

    def close_channel(self) -> None:
        """Close the channel; the next use opens a new one."""
        with self._closing:
            plain, self._plain = self._plain, None
            self._channel = None
            self._stubs = {}
            self._calls = OpenCalls()
        if plain is not None:
            plain.close()
