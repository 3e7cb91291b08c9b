"""The workload of access_logs.py, from functions of one record."""

from __future__ import annotations

from access_logs import (
    TotalsByRoute,
    is_failure,
    is_health_check,
    read_request,
    route_of,
)
from access_logs import aggregate as aggregate_columns
from access_logs_pb2 import Hit, Hits, Request, RouteTotals

from pipeline import LINES, Output, Rows, Workload, messages, per_record, stage


def parse(line: str) -> Request:
    """Parse one line; the Refused that it raises rejects the record."""
    return read_request(line)


def routes(request: Request) -> Hit | None:
    """Find the route of one request; None filters a health check."""
    if is_health_check(request.path):
        return None
    return Hit(
        route=route_of(request.method, request.path),
        bytes=request.bytes,
        failed=is_failure(request.status),
    )


def aggregate(rows: Rows) -> Output[RouteTotals]:
    """Total the requests of each route; takes a whole batch, which has one total."""
    hits = Hits()
    for hit in messages(rows, Hit):
        hits.route.append(hit.route)
        hits.bytes.append(hit.bytes)
        hits.failed.append(hit.failed)
    return aggregate_columns(hits)


ACCESS_LOGS = Workload(
    source=LINES,
    transforms=(per_record(parse), per_record(routes), stage(aggregate)),
    new_result=TotalsByRoute,
)
