"""Servicers of users: how they are added to a server, and which client they have."""

from __future__ import annotations

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
from pytest_pipeline.servers.pause_gate import (
    AsyncPauseInterceptor,
    PauseGate,
    PauseInterceptor,
)

AddToServer = Callable[[Any, Any], object]


@dataclass(frozen=True)
class UserServicer:
    """A gRPC servicer and the generated function that adds it to a server."""

    servicer: Any
    add_to_server: AddToServer

    @property
    def is_aio(self) -> bool:
        """Whether a method is a coroutine or an asynchronous generator."""
        return any(
            inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method)
            for name, method in inspect.getmembers(type(self.servicer))
            if not name.startswith("_")
        )

    def serve(
        self,
        name: str,
        bind: str,
        credentials: grpc.ServerCredentials | None,
        gate: PauseGate | None = None,
    ) -> RpcServer | AioRpcServer:
        """Start a server that suits the servicer; raise as `RpcServer` does."""
        if self.is_aio:
            interceptors = [AsyncPauseInterceptor(gate)] if gate else []
            return AioRpcServer(name, self._add, bind, credentials, interceptors)
        return RpcServer(
            name,
            self._add,
            bind,
            credentials,
            [PauseInterceptor(gate)] if gate else [],
        )

    def _add(self, server: Any) -> Sequence[str]:
        names = _ServiceNames(server)
        self.add_to_server(self.servicer, names)
        return names.services


class _ServiceNames:
    """Wraps a server and records the names of services that are added to it."""

    def __init__(self, server: Any) -> None:
        self.services: list[str] = []
        self._server = server

    def add_generic_rpc_handlers(self, handlers: Sequence[Any]) -> None:
        for handler in handlers:
            if isinstance(handler, grpc.ServiceRpcHandler):
                self.services.append(handler.service_name())
        self._server.add_generic_rpc_handlers(handlers)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._server, name)


def servicer_of(what: Any, add_to_server: AddToServer | None) -> UserServicer:
    """Return the servicer of a stage, or a servicer with its generated function.

    Raises:
        UsageError: ``what`` is a class, or ``add_to_server`` is needed and missing.
    """
    if isinstance(what, Stage):
        return UserServicer(StageServicer(what), add_stage)
    if isinstance(what, type):
        raise UsageError(
            f"stage_server({what.__name__}): is a class; give an instance of it, "
            f"{what.__name__}()"
        )
    if add_to_server is not None:
        return UserServicer(what, add_to_server)
    if callable(getattr(what, "Process", None)):
        return UserServicer(what, add_stage)
    name = type(what).__name__
    raise UsageError(
        f"stage_server({name}()): how is it added to a server? Give the generated "
        f"function, add_to_server=add_{name}Servicer_to_server"
    )


def stub_of(servicer: UserServicer) -> Callable[[grpc.Channel], Any] | None:
    """Return the client generated beside ``add_to_server``; None if there is none."""
    add = servicer.add_to_server
    if add is add_stage:
        return StageStub
    name = getattr(add, "__name__", "")
    module = sys.modules.get(getattr(add, "__module__", ""))
    service = name.removeprefix("add_").removesuffix("Servicer_to_server")
    stub: Callable[[grpc.Channel], Any] | None = getattr(module, f"{service}Stub", None)
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
