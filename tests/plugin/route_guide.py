"""A route guide, as in the public examples of gRPC: one RPC of each kind, and state.

Points are pairs of numbers, features are lists of a name, notes are pairs of a point
and a text. All travel as JSON. None is a str, since grpc.aio encodes a str before it
calls the serialiser.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from itertools import pairwise
from typing import Any

import grpc

Point = list[int]
Feature = list[str]
Note = tuple[Point, str]

FEATURES = {(1, 1): "mill", (2, 3): "lighthouse", (9, 9): "quarry"}
TOKEN = "Bearer abc"  # noqa: S105 - of a test
#: Set by an interceptor for the RPC that it lets pass.
CALLER: ContextVar[str] = ContextVar("caller", default="nobody")

_SERVICE = "routes.RouteGuide"
_KINDS = {
    "GetFeature": "unary_unary",
    "ListFeatures": "unary_stream",
    "RecordRoute": "stream_unary",
    "RouteChat": "stream_stream",
}


def _dump(value: Any) -> bytes:
    return json.dumps(value).encode()


class RouteGuideStub:
    """Calls the route guide."""

    def __init__(self, channel: Any) -> None:
        for name, kind in _KINDS.items():
            make = getattr(channel, kind)
            path = f"/{_SERVICE}/{name}"
            call = make(
                path, request_serializer=_dump, response_deserializer=json.loads
            )
            setattr(self, name, call)


def add_RouteGuideServicer_to_server(servicer: Any, server: Any) -> None:  # noqa: N802 - as generated
    """Add a route guide, in both ways in which generated code does."""
    handlers = {
        name: getattr(grpc, f"{kind}_rpc_method_handler")(
            getattr(servicer, name),
            request_deserializer=json.loads,
            response_serializer=_dump,
        )
        for name, kind in _KINDS.items()
    }
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(_SERVICE, handlers),)
    )
    server.add_registered_method_handlers(_SERVICE, handlers)


def _feature(point: Point) -> Feature:
    return [name for place, name in FEATURES.items() if list(place) == point]


def _inside(area: list[Point]) -> list[Feature]:
    (left, low), (right, high) = area
    return [
        [name]
        for (x, y), name in FEATURES.items()
        if left <= x <= right and low <= y <= high
    ]


def _length(points: list[Point]) -> int:
    """Return the length of a route in steps along the axes."""
    return sum(abs(a[0] - b[0]) + abs(a[1] - b[1]) for a, b in pairwise(points))


class _Notes:
    """The notes that were left, by point."""

    def __init__(self) -> None:
        self._notes: list[Note] = []

    def leave(self, note: Note) -> list[Note]:
        """Leave a note; return those that were there before."""
        before = [each for each in self._notes if each[0] == note[0]]
        self._notes.append(note)
        return before


class RouteGuide:
    """Guides in threads."""

    def __init__(self) -> None:
        self._notes = _Notes()

    def GetFeature(self, request: Point, context: grpc.ServicerContext) -> Feature:  # noqa: N802
        """Return the feature at a point."""
        found = _feature(request)
        if not found:
            context.abort(grpc.StatusCode.NOT_FOUND, "nothing is there")
        return found

    def ListFeatures(self, request: list[Point], _: Any) -> Iterator[Feature]:  # noqa: N802
        """Return the features in a rectangle."""
        yield from _inside(request)

    def RecordRoute(self, requests: Iterator[Point], _: Any) -> dict[str, int]:  # noqa: N802
        """Return the number of points of a route, and its length."""
        points = list(requests)
        return {"points": len(points), "length": _length(points)}

    def RouteChat(self, requests: Iterator[Note], _: Any) -> Iterator[Note]:  # noqa: N802
        """Return the notes that were left at each point before."""
        for note in requests:
            yield from self._notes.leave(note)


class AioRouteGuide:
    """Guides in an event loop."""

    def __init__(self) -> None:
        self._notes = _Notes()

    async def GetFeature(self, request: Point, context: Any) -> Feature:  # noqa: N802
        """Return the feature at a point."""
        found = _feature(request)
        if not found:
            await context.abort(grpc.StatusCode.NOT_FOUND, "nothing is there")
        return found

    async def ListFeatures(  # noqa: N802
        self, request: list[Point], _: Any
    ) -> AsyncIterator[Feature]:
        """Return the features in a rectangle."""
        for feature in _inside(request):
            await asyncio.sleep(0)
            yield feature

    async def RecordRoute(  # noqa: N802
        self, requests: AsyncIterator[Point], _: Any
    ) -> dict[str, int]:
        """Return the number of points of a route, and its length."""
        points = [point async for point in requests]
        return {"points": len(points), "length": _length(points)}

    async def RouteChat(self, _: Any, context: Any) -> None:  # noqa: N802
        """Return the notes that were left before, with gRPC's reader and writer."""
        while (note := await context.read()) is not grpc.aio.EOF:
            for each in self._notes.leave(note):
                await context.write(each)


class CallerGuide(AioRouteGuide):
    """Knows who calls, from what an interceptor has put into the context."""

    async def GetFeature(self, request: Point, context: Any) -> Feature:  # noqa: ARG002, N802
        """Return who calls."""
        return [CALLER.get()]


class FlakyGuide(RouteGuide):
    """Is unavailable for the first two calls."""

    def __init__(self) -> None:
        super().__init__()
        self._calls = 0

    def GetFeature(self, request: Point, context: grpc.ServicerContext) -> Feature:  # noqa: N802
        """Fail twice, then answer."""
        self._calls += 1
        if self._calls <= 2:
            context.abort(grpc.StatusCode.UNAVAILABLE, "try again")
        return super().GetFeature(request, context)


def _is_authorised(details: grpc.HandlerCallDetails) -> bool:
    sent = [tuple(pair) for pair in details.invocation_metadata or ()]
    return ("authorization", TOKEN) in sent


class Authorising(grpc.ServerInterceptor):
    """Lets calls with the token pass."""

    def intercept_service(self, continuation: Any, details: Any) -> Any:
        """Refuse, or pass the call on."""
        if _is_authorised(details):
            return continuation(details)

        def refuse(_: Any, context: grpc.ServicerContext) -> None:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "invalid signature")

        return grpc.unary_unary_rpc_method_handler(refuse)


class AioAuthorising(grpc.aio.ServerInterceptor):
    """Lets calls with the token pass."""

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        """Refuse, or pass the call on."""
        if _is_authorised(details):
            return await continuation(details)

        async def refuse(_: Any, context: Any) -> None:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "invalid signature")

        return grpc.unary_unary_rpc_method_handler(refuse)


class NamingCaller(grpc.aio.ServerInterceptor):
    """Puts a name into the context of the RPC, before those of interceptors before."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        """Set the context variable."""
        CALLER.set(f"{CALLER.get()} {self._name}")
        return await continuation(details)


class BearerToken(grpc.AuthMetadataPlugin):
    """Signs calls with the token."""

    def __call__(self, _: Any, callback: Any) -> None:
        """Add the header."""
        callback((("authorization", TOKEN),), None)
