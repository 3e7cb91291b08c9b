"""Servicers of users: how they are made, and which server and client suit them."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from pipeline.errors import UsageError
from pipeline.stages import Stage
from pipeline.transport import wire
from pipeline.transport.server import RpcServer
from pipeline.transport.servicers import StageServicer
from pipeline.transport.stubs import StageStub
from pipeline.v1.pipeline_pb2 import Batch
from pytest_pipeline.servers.aio import AioRpcServer
from pytest_pipeline.servers.arguments import SERVER_DEFAULTS, ServerArguments
from pytest_pipeline.servers.handlers import (
    AddToServer,
    HandlerRecorder,
    name_of,
    record,
)
from pytest_pipeline.servers.pause_gate import (
    AsyncPauseInterceptor,
    PauseGate,
    PauseInterceptor,
)


@dataclass(frozen=True)
class UserServicer:
    """A gRPC servicer, or what makes one, and the function that adds it to a server."""

    #: The servicer, or a callable without arguments that returns one.
    what: Any
    add_to_server: AddToServer
    is_factory: bool = False
    #: Whether grpc.aio serves it; None to find out from its handlers.
    aio: bool | None = None
    arguments: ServerArguments = SERVER_DEFAULTS

    @property
    def name(self) -> str:
        """The name of the servicer in errors and reports."""
        what = self.what
        # The class of a mock is the one that it stands for.
        name = name_of(what) if self.is_factory else str(what.__class__.__name__)
        if name.isidentifier() and (
            self.is_factory or what.__class__.__module__ != "builtins"
        ):
            return name
        # A lambda or a tuple of servicers is called by how it is added.
        name = _service_of(self.add_to_server)
        return name if name.isidentifier() else "servicer"

    @property
    def keeps_contract(self) -> bool:
        """Whether it serves `Stage.Process`, by options that suit its batches."""
        return self.add_to_server is add_stage

    def serve(
        self,
        name: str,
        bind: str,
        credentials: grpc.ServerCredentials | None,
        gate: PauseGate | None = None,
    ) -> RpcServer | AioRpcServer:
        """Start a server that suits the servicer.

        Args:
            name: The name in errors, and the start of the names of all threads.
            bind: ``HOST:PORT`` or ``unix:PATH``.
            credentials: Serve under TLS with these, if there are none of the user's.
            gate: Pass all messages through it.

        Raises:
            UsageError: The servicer can't be added to a server.
            StageError: The address can't be bound.
        """
        __tracebackhide__ = True
        arguments = self.arguments
        # Otherwise the servicer is made in the event loop, which it may need.
        recorder = None if self.aio else self._recorder_without_loop()
        is_aio = recorder is None or recorder.is_aio
        if is_aio and self.aio is False:
            raise UsageError(
                f"stage_server({self.name}, aio=False): has RPCs that are coroutine "
                f"functions, which only grpc.aio serves; leave aio out"
            )

        def add_services(server: Any) -> Sequence[str]:
            __tracebackhide__ = True
            recorded = recorder or self._recorder()
            recorded.add_to(server)
            return recorded.services

        options = dict(wire.OPTIONS if self.keeps_contract else wire.ISOLATION)
        options |= dict(arguments.options)
        interceptors = arguments.interceptors_for(is_aio=is_aio, name=self.name)
        if is_aio:
            gates: list[Any] = [AsyncPauseInterceptor(gate)] if gate else []
            make: Any = AioRpcServer
        else:
            gates = [PauseInterceptor(gate)] if gate else []
            make = RpcServer
        server: RpcServer | AioRpcServer = make(
            name,
            add_services,
            bind,
            arguments.credentials or credentials,
            [*gates, *interceptors],
            options=tuple(options.items()),
            max_workers=arguments.max_workers,
            compression=arguments.compression,
        )
        return server

    def _recorder_without_loop(self) -> HandlerRecorder | None:
        """Return the handlers, or None if the factory needs a running event loop."""
        __tracebackhide__ = True
        try:
            return self._recorder()
        except RuntimeError as error:
            if self.is_factory and "no running event loop" in str(error):
                return None
            raise

    def _recorder(self) -> HandlerRecorder:
        """Return the handlers of the servicer, of a new one if there is a factory."""
        __tracebackhide__ = True
        servicer = self.what() if self.is_factory else self.what
        return record(self.add_to_server, servicer, f"stage_server({self.name})")


def servicer_of(
    what: Any,
    add_to_server: AddToServer | None,
    *,
    aio: bool | None = None,
    arguments: ServerArguments = SERVER_DEFAULTS,
) -> UserServicer:
    """Return the servicer of a stage, or a servicer with its generated function.

    Args:
        what: A stage, a servicer, or a class or function that makes a servicer.
        add_to_server: Adds the servicer to a server; not needed for a stage.
        aio: Whether grpc.aio serves it; None to find out from its handlers.
        arguments: What the server is given.

    Raises:
        UsageError: ``add_to_server`` is needed and missing or is no function, or a
            factory needs arguments.
    """
    __tracebackhide__ = True
    if isinstance(what, Stage):
        return UserServicer(
            StageServicer(what), add_stage, aio=aio, arguments=arguments
        )
    is_factory = _is_factory(what)
    if add_to_server is None:
        if not callable(getattr(what, "Process", None)):
            raise UsageError(
                f"{_call_of(what, is_factory)}: how is it added to a server? Give the "
                f"generated function, add_to_server=add_{_base_of(what)}_to_server"
            )
        add_to_server = add_stage
    if not callable(add_to_server):
        raise UsageError(
            f"{_call_of(what, is_factory)}: add_to_server={add_to_server!r}: must be "
            f"the generated function add_…Servicer_to_server"
        )
    if is_factory:
        _check_factory(what)
    return UserServicer(what, add_to_server, is_factory, aio, arguments)


def stub_of(servicer: UserServicer) -> Callable[[grpc.Channel], Any] | None:
    """Return the client generated beside ``add_to_server``; None if there is none."""
    add = servicer.add_to_server
    if add is add_stage:
        return StageStub
    while isinstance(add, functools.partial):
        add = add.func
    module = sys.modules.get(getattr(add, "__module__", ""))
    stub: Callable[[grpc.Channel], Any] | None = getattr(
        module, f"{_service_of(add)}Stub", None
    )
    return stub


def add_stage(servicer: Any, server: Any) -> None:
    """Add a servicer of `Stage.Process` to a thread-based or asyncio server."""
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.Process,
        request_deserializer=Batch.FromString,
        response_serializer=Batch.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                wire.STAGE_SERVICE, {"Process": handler}
            ),
        )
    )


def _is_factory(what: Any) -> bool:
    """Return whether ``what`` makes servicers; a mock can be called, and does not."""
    return (
        inspect.isclass(what)
        or inspect.isroutine(what)
        or isinstance(what, functools.partial)
    )


def _check_factory(factory: Any) -> None:
    """Raise UsageError unless a call without arguments makes a servicer."""
    if inspect.iscoroutinefunction(factory):
        raise UsageError(
            f"stage_server({name_of(factory)}): is a coroutine function; give a "
            f"function that returns the servicer itself"
        )
    try:
        signature = inspect.signature(factory)
    except ValueError:
        return  # Some built-in types do not tell.
    try:
        signature.bind()
    except TypeError as error:
        name = name_of(factory)
        raise UsageError(
            f"stage_server({name}): can't be called without arguments ({error}); give "
            f"an instance, or a function without arguments that makes one"
        ) from None


def _call_of(what: Any, is_factory: bool) -> str:
    """Return the call of a user, as it stands in an error message."""
    name = name_of(what) if is_factory else f"{type(what).__name__}()"
    return f"stage_server({name})"


def _base_of(what: Any) -> str:
    """Return the name of the generated class that a servicer probably extends."""
    made = what if inspect.isclass(what) else what.__class__
    bases = [base.__name__ for base in made.__mro__]
    return next(
        (name for name in bases if name.endswith("Servicer")), f"{bases[0]}Servicer"
    )


def _service_of(add_to_server: AddToServer) -> str:
    """Return the name of the service, if a generated function adds it."""
    name = name_of(add_to_server)
    return name.removeprefix("add_").removesuffix("Servicer_to_server")
