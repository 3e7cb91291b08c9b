"""The handlers that a function of the user registers on a server."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn, TypeAlias

import grpc

from pipeline.errors import UsageError, raised

AddToServer: TypeAlias = Callable[[Any, Any], object]
Behaviour: TypeAlias = Callable[[Any, Any], Any]
# Quoted: the class is generic only in the type stubs of gRPC.
MethodHandler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"

_KINDS = {
    (False, False): "unary_unary",
    (False, True): "unary_stream",
    (True, False): "stream_unary",
    (True, True): "stream_stream",
}


def kind_of(handler: MethodHandler) -> str:
    """Return the attribute of a handler that has its function."""
    return _KINDS[handler.request_streaming, handler.response_streaming]


def with_behaviour(handler: MethodHandler, behaviour: Behaviour) -> MethodHandler:
    """Return a handler of the same kind that calls another function."""
    make = getattr(grpc, f"{kind_of(handler)}_rpc_method_handler")
    made: MethodHandler = make(
        behaviour, handler.request_deserializer, handler.response_serializer
    )
    return made


def runs_in_event_loop(behaviour: Any) -> bool:
    """Return whether grpc.aio would run a handler in its event loop.

    The criterion is that of grpc.aio: it runs every other function in a pool of
    threads. A mock counts by what it stands for.
    """
    mock = _mock_behind(behaviour)
    if mock is None:
        return _is_async_function(behaviour)
    from unittest.mock import AsyncMock

    return isinstance(mock, AsyncMock) or _is_async_function(_effect_of(mock))


def _refusal(what: str) -> Any:
    """Return a method that refuses what only the plugin does to a server."""

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise UsageError(f"{what}, which the plugin does; it may only add services")

    return refuse


class HandlerRecorder(grpc.Server):
    """Takes the place of a server and records the handlers that are added to it."""

    def __init__(self) -> None:
        self._generic: list[grpc.GenericRpcHandler] = []
        self._registered: list[tuple[str, Mapping[str, MethodHandler]]] = []

    def add_generic_rpc_handlers(
        self, generic_rpc_handlers: Iterable[grpc.GenericRpcHandler]
    ) -> None:
        """Record handlers of any number of services."""
        self._generic += generic_rpc_handlers

    def add_registered_method_handlers(
        self, service_name: str, method_handlers: Mapping[str, MethodHandler]
    ) -> None:
        """Record the handlers of one service by the names of its methods."""
        self._registered.append((service_name, method_handlers))

    add_insecure_port = add_secure_port = _refusal("binds a port")
    start = _refusal("starts the server")
    stop = _refusal("stops the server")
    wait_for_termination = _refusal("waits for the server")

    @property
    def services(self) -> Sequence[str]:
        """The names of the services, in the order in which they were added."""
        names = [
            handler.service_name()
            for handler in self._generic
            if isinstance(handler, grpc.ServiceRpcHandler)
        ]
        names += [name for name, _ in self._registered]
        return list(dict.fromkeys(names))

    @property
    def is_empty(self) -> bool:
        """Whether nothing was added."""
        return not self._generic and not self._registered

    @property
    def is_aio(self) -> bool:
        """Whether only grpc.aio can serve the handlers.

        It runs functions of threads too, in a pool.
        """
        return any(
            runs_in_event_loop(getattr(handler, kind_of(handler)))
            for handler in self._method_handlers()
        )

    def add_to(self, server: Any) -> None:
        """Add the recorded handlers to a server."""
        server.add_generic_rpc_handlers(tuple(map(_without_mocks, self._generic)))
        for service, registered in self._registered:
            server.add_registered_method_handlers(
                service,
                {name: _without_mock(each) for name, each in registered.items()},
            )

    def _method_handlers(self) -> Iterator[MethodHandler]:
        for generic in self._generic:
            yield from _methods(generic).values()
        for _, handlers in self._registered:
            yield from handlers.values()


def record(add_to_server: AddToServer, servicer: Any, where: str) -> HandlerRecorder:
    """Return what ``add_to_server`` registers for a servicer.

    Args:
        add_to_server: The function of the user.
        servicer: The servicer that is passed to it.
        where: The call of the user, for error messages.

    Raises:
        UsageError: It registers nothing, or raises.
    """
    __tracebackhide__ = True
    recorder = HandlerRecorder()
    name = name_of(add_to_server)
    try:
        add_to_server(servicer, recorder)
    except UsageError as error:
        raise UsageError(f"{where}: {name} {error}") from None
    except AttributeError as error:
        if error.obj is servicer and error.name:
            raise UsageError(
                f"{where}: {name} adds the RPC {error.name}, which "
                f"{type(servicer).__name__} does not have; give the function of this "
                f"servicer"
            ) from None
        raise _broken(where, name, error) from error
    except Exception as error:
        raise _broken(where, name, error) from error
    if recorder.is_empty:
        raise UsageError(
            f"{where}: {name} adds no service to the server; give the generated "
            f"function add_…Servicer_to_server"
        )
    return recorder


def name_of(function: Any) -> str:
    """Return the name of a function, as the user would recognise it."""
    while isinstance(function, functools.partial):
        function = function.func
    name: str = getattr(function, "__name__", "") or type(function).__name__
    return name


def _broken(where: str, name: str, error: Exception) -> UsageError:
    return UsageError(f"{where}: {name} raised {raised(error)}")


def _methods(generic: grpc.GenericRpcHandler) -> Mapping[str, MethodHandler]:
    """Return the handlers of a service by method; empty if gRPC can't list them."""
    methods: Mapping[str, MethodHandler] = getattr(generic, "_method_handlers", {})
    return methods


def _without_mocks(generic: grpc.GenericRpcHandler) -> grpc.GenericRpcHandler:
    """Return handlers of the same service, none of them a mock."""
    methods = _methods(generic)
    if not isinstance(generic, grpc.ServiceRpcHandler) or not any(
        _is_mock(handler) for handler in methods.values()
    ):
        return generic
    service = generic.service_name()
    return grpc.method_handlers_generic_handler(
        service,
        {
            name.removeprefix(f"/{service}/"): _without_mock(handler)
            for name, handler in methods.items()
        },
    )


def _is_mock(handler: MethodHandler) -> bool:
    return _mock_behind(getattr(handler, kind_of(handler))) is not None


def _without_mock(handler: MethodHandler) -> MethodHandler:
    """Return a handler whose function gRPC takes for what it is.

    `inspect`, by which gRPC decides, takes a mock of a function for a coroutine
    function, whatever it stands for.
    """
    behaviour = getattr(handler, kind_of(handler))
    if _mock_behind(behaviour) is None:
        return handler

    def call(request: Any, context: Any) -> Any:
        return behaviour(request, context)

    async def call_async(request: Any, context: Any) -> Any:
        return await behaviour(request, context)

    async def iterate(request: Any, context: Any) -> Any:
        async for response in behaviour(request, context):
            yield response

    if not runs_in_event_loop(behaviour):
        return with_behaviour(handler, call)
    if inspect.isasyncgenfunction(_effect_of(_mock_behind(behaviour))):
        return with_behaviour(handler, iterate)
    return with_behaviour(handler, call_async)


def _mock_behind(behaviour: Any) -> Any:
    """Return the mock that a function is, or that autospec made it for; or None."""
    mocks = sys.modules.get("unittest.mock")
    if mocks is None:
        return None
    while True:
        if isinstance(behaviour, mocks.NonCallableMock):
            return behaviour
        if isinstance(behaviour, functools.partial):
            behaviour = behaviour.func
        elif inspect.ismethod(behaviour):
            behaviour = behaviour.__func__
        else:
            break
    mock = getattr(behaviour, "mock", None)
    return mock if isinstance(mock, mocks.NonCallableMock) else None


def _effect_of(mock: Any) -> Any:
    """Return the function that a mock calls, if it calls one."""
    return mock.side_effect or mock._mock_wraps  # noqa: SLF001 - unittest has no other name


def _is_async_function(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
