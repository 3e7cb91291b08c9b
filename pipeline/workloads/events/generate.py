"""Generate events: equal arguments give equal bytes on every machine."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import accumulate, cycle
from random import Random
from typing import Literal, get_args

from pipeline.errors import UsageError
from pipeline.workloads.events.parse import MAX_VALUE
from pipeline.workloads.lines import DEFAULT_MAX_LINE_BYTES

Distribution = Literal["uniform", "zipf", "burst"]
DISTRIBUTIONS: tuple[Distribution, ...] = get_args(Distribution)

_START = datetime(2026, 1, 1)  # noqa: DTZ001 - written with a Z below
_TYPES = ("click", "view", "purchase")
_VALUES = 100
_BURST_EVENTS = 50


def generate_events(
    records: int,
    seed: int = 1,
    users: int = 1000,
    distribution: Distribution = "uniform",
    malformed: float = 0.0,
) -> Iterator[bytes]:
    """Yield events as JSON lines of 110 to 120 bytes, each ended by LF.

    Their timestamps are one millisecond apart.

    Args:
        records: How many events to yield.
        seed: Equal seeds give equal events.
        users: How many different users there are.
        distribution: How events are spread over users: evenly ("uniform"), by Zipf's
            law, so that user k gets 1/k of the events of user 1 ("zipf"), or in runs of
            50 events of one user ("burst").
        malformed: The fraction of lines that break the format. They take every kind of
            defect in turn, but only the first one is too long.

    Raises:
        UsageError: A number is out of range.
    """
    if records < 0:
        raise UsageError(f"records {records}: must be 0 or more")
    if users < 1:
        raise UsageError(f"users {users}: must be 1 or more")
    if not 0 <= malformed <= 1:
        raise UsageError(f"malformed {malformed}: must be a fraction from 0 to 1")
    random = Random(seed)  # noqa: S311 - made up, not secret
    return _lines(records, random, users, distribution, malformed)


def _lines(
    records: int,
    random: Random,
    users: int,
    distribution: Distribution,
    malformed: float,
) -> Iterator[bytes]:
    user_numbers = _USERS[distribution](random, users)
    spoilers = cycle(_SPOILERS)
    spoil: Callable[[str], bytes] = _too_long
    for number in range(records):
        bits = random.getrandbits(64)
        ts = _START + timedelta(milliseconds=number)
        line = (
            f'{{"ts":"{ts.isoformat(timespec="milliseconds")}Z"'
            f',"type":"{_TYPES[bits % 3]}"'
            f',"user":"user-{next(user_numbers):05d}"'
            f',"value":{(bits >> 8) % _VALUES}'
            f',"metadata":{{"page":{100 + (bits >> 32) % 900},"scroll":{bits >> 63}}}}}'
        )
        if malformed and random.random() < malformed:
            yield spoil(line) + b"\n"
            spoil = next(spoilers)
        else:
            yield line.encode() + b"\n"


def _uniform(random: Random, users: int) -> Iterator[int]:
    while True:
        yield random.randrange(users)


def _zipf(random: Random, users: int) -> Iterator[int]:
    cumulative = list(accumulate(1 / rank for rank in range(1, users + 1)))
    while True:
        yield bisect_right(cumulative, random.random() * cumulative[-1], hi=users - 1)


def _burst(random: Random, users: int) -> Iterator[int]:
    while True:
        user = random.randrange(users)
        for _ in range(_BURST_EVENTS):
            yield user


_USERS: dict[Distribution, Callable[[Random, int], Iterator[int]]] = {
    "uniform": _uniform,
    "zipf": _zipf,
    "burst": _burst,
}


def _too_long(line: str) -> bytes:
    return line.encode() + b" " * DEFAULT_MAX_LINE_BYTES


_SPOILERS: tuple[Callable[[str], bytes], ...] = (
    lambda line: line.replace("user-", "user-\udcff").encode(errors="surrogateescape"),
    lambda _: b"",
    lambda line: line[:-1].encode(),
    lambda line: f"[{line}]".encode(),
    lambda line: line.replace('"ts"', '"time"').encode(),
    lambda line: line.replace('"type"', '"kind"').encode(),
    lambda line: line.replace('"user"', '"who"').encode(),
    lambda line: line.replace('"value"', '"amount"').encode(),
    lambda line: line.replace('"ts":', '"ts":0,"at":').encode(),
    lambda line: line.replace('"type":', '"type":null,"kind":').encode(),
    lambda line: line.replace('"user":', '"user":7,"who":').encode(),
    lambda line: line.replace('"value":', '"value":"1","amount":').encode(),
    lambda line: line.replace("2026-01", "2026-13").encode(),
    lambda line: line.replace('"type":"', '"type":"re').encode(),
    lambda line: line.replace(
        '"value":', f'"value":{MAX_VALUE + 1},"amount":'
    ).encode(),
)
