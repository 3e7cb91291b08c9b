"""The size of batches, as it follows what batches cost."""

from __future__ import annotations

import pytest

from pipeline.sizing import BatchSizer

FIXED_S = 1e-3


def sizes_with(
    fixed_s: float, record_s: float, *, batches: int = 30, noise: float = 0.0
) -> list[int]:
    """Return the sizes that a source that is never short of records has sent."""
    sizer, sizes = BatchSizer(FIXED_S), []
    for number in range(batches):
        size = sizer.records
        sizes.append(size)
        slower = 1 + noise * (number % 3)
        sizer.observe("parse", size, (fixed_s + size * record_s) * slower)
    return sizes


def test_the_first_batch_has_one_record() -> None:
    """Nothing is known of what a record costs."""
    assert BatchSizer(FIXED_S).records == 1


def test_light_records_reach_large_batches_within_a_few() -> None:
    """Each batch is 16 times as large while records cost next to nothing."""
    assert sizes_with(0.3e-3, 0.5e-6)[:4] == [1, 16, 256, 4096]


@pytest.mark.parametrize("record_s", [0.5e-6, 40e-6, 1e-3, 3e-3])
def test_the_fixed_time_becomes_a_twentieth_of_the_batch(record_s: float) -> None:
    """Larger batches would gain little."""
    size = sizes_with(0.3e-3, record_s)[-1]

    assert size * record_s == pytest.approx(20 * FIXED_S, rel=0.2)


def test_a_record_that_takes_long_goes_alone() -> None:
    """The fixed time is a small share of a single record then."""
    assert sizes_with(0.3e-3, 0.5)[-1] <= 2


def test_a_stage_with_a_large_fixed_time_gets_large_batches() -> None:
    """A request to a remote service, say, that takes 20 ms for any records."""
    size = sizes_with(20e-3, 10e-6)[-1]

    assert size * 10e-6 == pytest.approx(20 * 20e-3, rel=0.2)


def test_disturbances_change_the_size_little() -> None:
    """Batches that other work has slowed to twice or three times their time."""
    size = sizes_with(0.3e-3, 40e-6, batches=100, noise=1.0)[-1]

    assert 20 * FIXED_S / 3 < size * 40e-6 <= 20 * FIXED_S


def test_the_slowest_stage_decides() -> None:
    """Batches that suit the others would be long there."""
    sizer = BatchSizer(FIXED_S)
    for _ in range(20):
        size = sizer.records
        sizer.observe("parse", size, 0.3e-3 + size * 1e-6)
        sizer.observe("rules", size, 0.3e-3 + size * 40e-6)

    assert sizer.records == pytest.approx(20 * FIXED_S / 40e-6, rel=0.2)


def test_a_source_that_trickles_keeps_room_for_a_burst() -> None:
    """From batches of one record a few more may be sent at once, not thousands."""
    sizer = BatchSizer(FIXED_S)
    for _ in range(100):
        sizer.observe("parse", 1, 0.3e-3)

    assert sizer.records == 16


def test_records_that_become_slower_make_smaller_batches() -> None:
    """The size follows within a hundred batches."""
    sizer = BatchSizer(FIXED_S)
    for record_s in (1e-6, 1e-3):
        for _ in range(100):
            size = sizer.records
            sizer.observe("parse", size, 0.3e-3 + size * record_s)

    assert sizer.records == pytest.approx(20, rel=0.2)
