"""Turn web access logs into requests, bytes and error rate by route."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass

from access_logs_pb2 import Hits, Request, Requests, RouteTotal, RouteTotals

from pipeline import (
    LINES,
    Lines,
    Output,
    Refused,
    Workload,
    decoded,
    numbered_lines,
    stage,
)

# host ident user [time] "request" status bytes "referrer" "agent"; inside quotes, a
# quote is written \" and a backslash \\.
_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_COMBINED = re.compile(
    rf"\S+ \S+ \S+ \[[^\]]+\] {_QUOTED} ([1-5]\d\d) (\d+|-) {_QUOTED} {_QUOTED}"
)
_REQUEST = re.compile(r"([A-Z]+) (\S+) HTTP/\d(?:\.\d)?")
_IDENTIFIER = re.compile(
    r"\d+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE
)


def parse(lines: Lines) -> Output[Requests]:
    """Parse every line, or reject it."""
    requests = Requests()
    rejections = []
    for record, line in numbered_lines(lines):
        try:
            request = read_request(decoded(line))
        except Refused as refused:
            rejections.append(refused.rejection(record))
            continue
        requests.method.append(request.method)
        requests.path.append(request.path)
        requests.status.append(request.status)
        requests.bytes.append(request.bytes)
    return Output(requests, len(requests.path), rejections=rejections)


def routes(requests: Requests) -> Output[Hits]:
    """Find the route of every request; filter health checks."""
    hits = Hits()
    columns = (requests.method, requests.path, requests.status, requests.bytes)
    for method, path, status, size in zip(*columns, strict=True):
        if is_health_check(path):
            continue
        hits.route.append(route_of(method, path))
        hits.bytes.append(size)
        hits.failed.append(is_failure(status))
    passed = len(hits.route)
    return Output(hits, passed, filtered=len(requests.path) - passed)


def aggregate(hits: Hits) -> Output[RouteTotals]:
    """Total the requests of each route in one batch."""
    by_route: defaultdict[str, RouteTotal] = defaultdict(RouteTotal)
    for route, size, failed in zip(hits.route, hits.bytes, hits.failed, strict=True):
        total = by_route[route]
        total.requests += 1
        total.failed += failed
        total.bytes += size
    totals = [
        RouteTotal(
            route=route,
            requests=total.requests,
            failed=total.failed,
            bytes=total.bytes,
        )
        for route, total in sorted(by_route.items())
    ]
    return Output(RouteTotals(totals=totals), records=len(hits.route))


@dataclass
class _Route:
    requests: int = 0
    failed: int = 0
    bytes: int = 0


class TotalsByRoute:
    """The accumulator of the result: one JSON line a route, sorted by name."""

    def __init__(self) -> None:
        self._routes: defaultdict[str, _Route] = defaultdict(_Route)

    @property
    def records(self) -> int:
        """Requests so far."""
        return sum(route.requests for route in self._routes.values())

    def add(self, totals: RouteTotals, /) -> bytes:
        """Merge the totals of one batch; no line is final before the end."""
        self.merge(totals)
        return b""

    def state(self) -> RouteTotals:
        """Return the totals so far."""
        return RouteTotals(
            totals=[
                RouteTotal(
                    route=name,
                    requests=route.requests,
                    failed=route.failed,
                    bytes=route.bytes,
                )
                for name, route in sorted(self._routes.items())
            ]
        )

    def merge(self, totals: RouteTotals, /) -> None:
        """Add totals to those so far."""
        for total in totals.totals:
            route = self._routes[total.route]
            route.requests += total.requests
            route.failed += total.failed
            route.bytes += total.bytes

    def finish(self) -> bytes:
        """Return the lines."""
        return b"".join(
            json.dumps(
                {
                    "route": name,
                    "requests": route.requests,
                    "bytes": route.bytes,
                    "error_rate": route.failed / route.requests,
                }
            ).encode()
            + b"\n"
            for name, route in sorted(self._routes.items())
        )


def read_request(line: str) -> Request:
    """Parse one line in combined format; raise Refused if that fails."""
    combined = _COMBINED.fullmatch(line)
    if combined is None:
        raise Refused("not_combined_format")
    asked, status, size = combined.group(1, 2, 3)
    request = _REQUEST.fullmatch(asked)
    if request is None:
        raise Refused("bad_request_line")
    if size != "-" and int(size) > 2**53:
        raise Refused("out_of_range", "bytes")
    return Request(
        method=request[1],
        path=request[2],
        status=int(status),
        bytes=0 if size == "-" else int(size),
    )


def route_of(method: str, path: str) -> str:
    """Return the route of a request: no query, and {id} for numbers and UUIDs."""
    parts = path.partition("?")[0].split("/")
    return f"{method} " + "/".join(
        "{id}" if _IDENTIFIER.fullmatch(part) else part for part in parts
    )


def is_health_check(path: str) -> bool:
    """Return whether a request is a health check."""
    return path.partition("?")[0] == "/healthz"


def is_failure(status: int) -> bool:
    """Return whether a status is a client or server error."""
    return status >= 400


ACCESS_LOGS = Workload(
    source=LINES,
    transforms=(stage(parse), stage(routes), stage(aggregate)),
    new_result=TotalsByRoute,
)
