"""The handle that a test has on a server, wherever that lives."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pipeline.errors import StageError, UsageError, one_line
from pipeline.transport import wire
from pytest_pipeline.options import Hosting
from pytest_pipeline.servers.hosts import new_host
from pytest_pipeline.servers.specification import ServerSpec
from pytest_pipeline.servers.trace import OpenCalls, Trace, TraceInterceptor
from pytest_pipeline.servers.workspace import Workspace

_HEALTH_S = 2.0
_SETTLE_S = 0.1
#: How long the end of a call may be on its way from a server that has ended.
_STATUS_S = 1.0


class Server:
    """A live server: a stage, or any gRPC service.

    A server that stays up for the session is brought back before each test, and before
    each example of a property test: it is resumed if it is paused, and restarted if it
    has ended.
    """

    def __init__(self, spec: ServerSpec, workspace: Workspace) -> None:
        #: The name of the server in errors and reports.
        self.name = spec.name
        #: The last messages to and from the server.
        self.trace = Trace()
        #: Whether the current test has used the server.
        self.used = False
        self._kind = spec.hosting
        self._stub_type = spec.stub_type
        self._start_timeout_s = spec.start_timeout_s
        self._credentials = _channel_credentials(spec, workspace)
        self.host = new_host(spec, workspace)
        self._channel: grpc.Channel | None = None
        self._plain: grpc.Channel | None = None
        self._stub: Any = None
        self._calls = OpenCalls()
        self._closing = threading.Lock()
        self._paused = False
        self._asked_to_end = False
        self._log_start = 0
        self._example: object = None

    def __repr__(self) -> str:
        return f"<Server {self.name} at {self.host.address}>"

    @property
    def kind(self) -> Hosting:
        """Where it lives: inprocess, subprocess or external."""
        return self._kind

    @property
    def address(self) -> str:
        """``HOST:PORT`` or ``unix:PATH``."""
        self._touch()
        return self.host.address

    @property
    def pid(self) -> int | None:
        """Its process: this one if in-process, None if external or ended."""
        self._touch()
        return self.host.pid

    @property
    def handshake(self) -> Mapping[str, Any]:
        """What it said of itself when it was started; nothing, if not as a process."""
        return self.host.handshake

    @property
    def memory(self) -> int | None:
        """Bytes that its process has resident; None where ``pid`` is."""
        import psutil

        pid = self.pid
        return None if pid is None else int(psutil.Process(pid).memory_info().rss)

    @property
    def channel(self) -> grpc.Channel:
        """A channel to it, open until the test ends; closing it is the plugin's."""
        self._touch()
        return self._open_channel()

    @property
    def stub(self) -> Any:
        """A client of its service, made once for ``channel``.

        Raises UsageError where the service is not known.
        """
        channel = self.channel
        if self._stub is None:
            if self._stub_type is None:
                raise UsageError(
                    f"server {self.name}: its stub is not known; make one from "
                    f"server.channel, or give stage_server(stub=...)"
                )
            self._stub = self._stub_type(channel)
        return self._stub

    def aio_channel(self, options: Sequence[tuple[str, Any]] = ()) -> grpc.aio.Channel:
        """Make a channel for asyncio, to be used in ``async with``, which closes it.

        ``options`` are arguments of gRPC's, beside those that all channels have.
        """
        self._touch()
        every = (*wire.OPTIONS, *options)
        if self._credentials is None:
            return grpc.aio.insecure_channel(self.host.address, options=every)
        return grpc.aio.secure_channel(
            self.host.address, self._credentials, options=every
        )

    @property
    def channel_credentials(self) -> grpc.ChannelCredentials | None:
        """What its channels trust under TLS; None without."""
        return self._credentials

    @property
    def health(self) -> str:
        """What its health service says now, such as ``SERVING``.

        ``UNREACHABLE`` where it does not answer within two seconds.
        """
        self._touch()
        stub: Any = health_pb2_grpc.HealthStub(self._open_channel())
        try:
            reply = stub.Check(health_pb2.HealthCheckRequest(), timeout=_HEALTH_S)
        except grpc.RpcError:
            return "UNREACHABLE"
        status: str = health_pb2.HealthCheckResponse.ServingStatus.Name(reply.status)
        return status

    @property
    def logs(self) -> str:
        """What it has logged in this test."""
        return self.host.log[self._log_start :]

    @property
    def ending(self) -> str:
        """How it ended, such as ``ended by SIGKILL``; empty while it runs."""
        return self.host.ending

    @property
    def died(self) -> bool:
        """Whether it has ended and nobody asked it to."""
        return bool(self.host.ending) and not self._asked_to_end

    def settle(self) -> None:
        """Wait a moment for the end of a process that may be dying.

        A connection breaks a moment before the process can be waited for.
        """
        self.host.wait_ended(_SETTLE_S)

    def launch(self) -> None:
        """Start it; `wait_ready` must follow."""
        self._asked_to_end = self._paused = False
        self.host.launch()

    def wait_ready(self) -> None:
        """Wait until its health service says that it serves.

        Raises StageError where that does not happen in time, with nothing left running.
        """
        deadline = time.monotonic() + self._start_timeout_s
        self.host.wait_bound(deadline)
        try:
            # On a channel of its own: what is left of a call that is cut short would
            # keep the server from being stopped.
            with self._new_channel() as channel:
                self._watch_health(channel, deadline)
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
            # A server of ours is bound when we come here; another may still be coming.
            wait_for_ready=self.kind == "external",
        )
        last = "nothing"
        try:
            for reply in call:
                last = health_pb2.HealthCheckResponse.ServingStatus.Name(reply.status)
                if last == "SERVING":
                    return
        except grpc.RpcError as error:
            raise self._not_ready(error.code(), last) from None
        finally:
            call.cancel()
        raise self._not_ready(grpc.StatusCode.OK, last)

    def _not_ready(self, code: grpc.StatusCode, last: str) -> StageError:
        at = f"stage {self.name} at {self.host.address}"
        if self.host.ending:
            last_words = next(iter(reversed(self.logs.splitlines())), "nothing")
            return StageError(f"{at}: {self.host.ending}; it last said: {last_words}")
        if code is grpc.StatusCode.UNIMPLEMENTED:
            return StageError(
                f"{at}: has no health service; it must serve grpc.health.v1.Health"
            )
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return StageError(
                f"{at}: not ready within {self._start_timeout_s:g} s, its health "
                f"service said {last}; --pipeline-start-timeout gives it longer"
            )
        return StageError(f"{at}: nobody answers its health service ({code.name})")

    def stop(self) -> None:
        """End it in good order, as SIGTERM does; open calls may finish for 5 s."""
        self._end(self.host.stop, _STATUS_S)

    def kill(self) -> None:
        """End it at once, as SIGKILL does; open calls are cut."""
        self._end(self.host.kill, 0.0)

    def _end(self, how: Callable[[], None], status_s: float) -> None:
        self._touch()
        asked_before, self._asked_to_end = self._asked_to_end, True
        # A server that drains asks its clients for a sign, which gRPC may give only
        # while a call is open; so an idle channel would hold it up.
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
        """Let it stand still, as SIGSTOP does: it answers nothing, not even health."""
        self._touch()
        self.host.pause()
        self._paused = True

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self._touch()
        self.host.resume()
        self._paused = False

    def restart(self) -> None:
        """Start it anew, after `stop` or `kill` or instead of them.

        It has the address that it had, if that can be had still. An external server is
        left as it is.
        """
        if self.kind == "external":
            return
        self._enter_example()
        self.stop()
        self.launch()
        self.wait_ready()

    def reset(self) -> None:
        """Bring it back for another test: it runs, and has forgotten the last one."""
        self.close_channel()
        self._bring_back()
        self.trace.clear()
        self._log_start = len(self.host.log)
        self._example = None
        self.used = False

    def close(self) -> None:
        """Stop it for good."""
        self._asked_to_end = True
        self.close_channel()
        self.host.stop()

    def _touch(self) -> None:
        """Take note that the test uses it; bring it back if this is a new example."""
        self.used = True
        if self._enter_example():
            self._bring_back()

    def _enter_example(self) -> bool:
        """Take note of the example of hypothesis; say whether it is a new one."""
        example = current_example()
        # A thread that an example has started is in none, and ends none.
        if example is None or example is self._example:
            return False
        self._example = example
        return True

    def _bring_back(self) -> None:
        if self._paused:
            self.host.resume()
            self._paused = False
        if self.host.ending:
            self.close_channel()
            # What has ended by itself has not been waited for.
            self.host.stop()
            self.launch()
            self.wait_ready()

    def _open_channel(self) -> grpc.Channel:
        if self._channel is None:
            self._plain = self._new_channel()
            self._channel = grpc.intercept_channel(
                self._plain, TraceInterceptor(self.trace, self._calls)
            )
        return self._channel

    def _new_channel(self) -> grpc.Channel:
        if self._credentials is None:
            return grpc.insecure_channel(self.host.address, options=wire.OPTIONS)
        return grpc.secure_channel(
            self.host.address, self._credentials, options=wire.OPTIONS
        )

    def close_channel(self) -> None:
        """Close the channel; the next use opens another."""
        with self._closing:
            plain, self._plain = self._plain, None
            self._channel = self._stub = None
            self._calls = OpenCalls()
        if plain is not None:
            plain.close()


def current_example() -> object | None:
    """Return what stands for the example of hypothesis that runs now; None outside."""
    if "hypothesis" not in sys.modules:
        return None
    from hypothesis import currently_in_test_context
    from hypothesis.control import current_build_context

    return current_build_context() if currently_in_test_context() else None


def _channel_credentials(
    spec: ServerSpec, workspace: Workspace
) -> grpc.ChannelCredentials | None:
    if spec.transport != "tls":
        return None
    roots = [workspace.certificates.root] if spec.trusts_session else []
    if spec.tls_root:
        roots.append(spec.tls_root)
    try:
        return grpc.ssl_channel_credentials(
            b"\n".join(root.read_bytes() for root in roots)
        )
    except OSError as error:
        raise UsageError(
            f"--pipeline-tls-root {spec.tls_root}: {one_line(error)}"
        ) from error
