"""The generator of events."""

from __future__ import annotations

from collections import Counter

import pytest

from pipeline.errors import UsageError
from pipeline.v1.lines_pb2 import Lines
from pipeline.workloads.events.generate import (
    DISTRIBUTIONS,
    Distribution,
    generate_events,
)
from pipeline.workloads.events.parse import REASONS, parse
from pipeline.workloads.lines import DEFAULT_MAX_LINE_BYTES


def users_of(distribution: Distribution) -> list[str]:
    """Return the user of each of 2,000 events."""
    lines = b"".join(generate_events(2000, 3, 100, distribution))
    return list(parse(Lines(first_record=1, text=lines)).message.user)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_equal_arguments_give_equal_bytes(distribution: Distribution) -> None:
    """Another seed gives other bytes."""
    first, again, other = (
        b"".join(generate_events(500, seed, 20, distribution, 0.1))
        for seed in (1, 1, 2)
    )

    assert first == again
    assert first != other


def test_lines_are_events_of_about_110_to_120_bytes() -> None:
    """All are valid, and have nested metadata beside the four fields."""
    lines = list(generate_events(2000, seed=1, users=1000))

    assert 110 <= min(map(len, lines)) <= max(map(len, lines)) <= 120
    assert all(b'"metadata":{' in line for line in lines)
    assert not parse(Lines(first_record=1, text=b"".join(lines))).rejections


def test_events_are_spread_over_users_by_the_distribution() -> None:
    """Evenly, by Zipf's law with the first user on top, or 50 events in a row."""
    uniform = Counter(users_of("uniform"))
    zipf = Counter(users_of("zipf"))
    burst = users_of("burst")

    assert max(uniform.values()) < 2 * 2000 / 100
    assert zipf["user-00000"] > 5 * zipf["user-00009"] > 0
    assert all(len(set(burst[at : at + 50])) == 1 for at in range(0, 2000, 50))


def test_malformed_lines_come_in_every_kind() -> None:
    """Every reason occurs, the fraction is about right, and one line is too long."""
    lines = list(generate_events(2000, seed=1, users=10, malformed=0.05))
    too_long = [
        position
        for position, line in enumerate(lines)
        if len(line) > DEFAULT_MAX_LINE_BYTES
    ]
    for position in too_long:
        lines[position] = b"\n"
    output = parse(Lines(first_record=1, text=b"".join(lines), too_long=too_long))

    reasons = Counter(rejection.reason for rejection in output.rejections)
    assert set(reasons) == set(REASONS)
    assert len(too_long) == 1
    assert 50 < len(output.rejections) < 150


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ((-1, 1, 1), "records"),
        ((1, 1, 0), "users"),
        ((1, 1, 1, "zipf", 1.5), "malformed"),
    ],
)
def test_numbers_out_of_range_are_refused_by_name(
    settings: tuple[int, int, int], name: str
) -> None:
    """The error names the argument."""
    with pytest.raises(UsageError, match=name):
        generate_events(*settings)
