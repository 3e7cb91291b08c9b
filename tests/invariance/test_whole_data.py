"""The whole data in every cut: what goes wrong in long streams only."""

from __future__ import annotations

import pytest

from pipeline.errors import UsageError
from pipeline.workload import Workload
from pytest_pipeline.invariance import (
    InvarianceError,
    PartitionedStream,
    Property,
    SplitStages,
    shrinking,
)
from pytest_pipeline.invariance.shrinking import shrink
from pytest_pipeline.records.cuts import (
    Cut,
    cuts,
    fewest_batches,
    near_powers_of_two,
)
from pytest_pipeline.records.samples import whole
from tests.invariance.wrong_workloads import (
    FLOATS,
    LONG,
    ORDER,
    POWER,
    RAISING,
    RIGHT,
    STATE,
    TIES,
    lines_of,
)

KEYS = tuple(f"k{number}" for number in range(30))
WIDE = tuple(f"{number:04}{'x' * 60}" for number in range(1200))


@pytest.fixture(autouse=True)
def _few_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shrink a little only, since what is found is what these tests are about."""
    monkeypatch.setattr(shrinking, "_MOST_TRIES", 60)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    ("workload", "prop", "data"),
    [
        (FLOATS, Property("partition", "summed"), lines_of("a", "b")),
        (FLOATS, Property("merge"), lines_of("a", "b")),
        (FLOATS, Property("split"), lines_of("a", "b")),
        (ORDER, Property("merge"), lines_of(*KEYS)),
        (STATE, Property("snapshot"), lines_of(*WIDE, count=len(WIDE))),
        (TIES, Property("merge"), lines_of("a", count=500)),
        (LONG, Property("partition", "counted_past_a_thousand"), lines_of("a")),
        (POWER, Property("partition", "counted_but_for_256"), lines_of("a")),
    ],
    ids=lambda value: (
        f"{value.name}" if isinstance(value, Workload) else str(value)[:20]
    ),
)
def test_what_is_wrong_in_long_streams_is_found_with_every_seed(
    workload: Workload, prop: Property, data: bytes, seed: int
) -> None:
    """No short stream has to be found by chance."""
    with pytest.raises(InvarianceError, match=f"workload {workload.name}"):
        prop.check_whole(workload, cuts(seed), data=data)


def test_a_right_workload_holds_for_data_that_is_named() -> None:
    """The answer has the records and every cut, with the seed."""
    held = Property("merge").check_whole(
        RIGHT, cuts(seed=7), data=lines_of("a", "b"), data_name="some.csv"
    )

    assert held == (
        "60 records of some.csv cut at 1, 10, 100, 1000, random:7, powers-of-two, "
        "ends-at-powers-of-two, and 60 records of some.csv repeated to 2,100 cut at "
        "100, random:7, powers-of-two, ends-at-powers-of-two"
    )


def test_a_failure_names_the_cuts_the_difference_and_a_command() -> None:
    """The cuts that give the same are named as well."""
    with pytest.raises(InvarianceError) as raised:
        Property("partition", "counted_past_a_thousand").check_whole(
            LONG, cuts(seed=7), data=lines_of("a", count=2100), data_name="my data"
        )

    report = str(raised.value)
    assert "the smallest stream, of 1,0" in report
    assert " more\ncut after: " in report
    assert report.endswith(
        "2,100 records of my data: not the same cut at 1, 10, 100, 1000, "
        "powers-of-two; the same cut at random:7, ends-at-powers-of-two\n"
        "  cut at 1: result must be the same\n"
        "    b'{\"a\": 2099.0}'\n"
        "    b'{\"a\": 2100.0}'\n"
        "  to see that again:\n"
        "    python -m pytest_pipeline.invariance mine:LONG --property partition "
        "--stage counted_past_a_thousand --data 'my data' --cut 1"
    )


def test_a_long_difference_is_shown_where_it_begins() -> None:
    """Two results of many keys show the bytes around the first one that differs."""
    with pytest.raises(InvarianceError) as raised:
        Property("partition", "summed").check_whole(
            FLOATS, [Cut("1000")], data=lines_of(*KEYS, count=2100)
        )

    assert ": result must be the same, from byte " in str(raised.value)
    assert max(map(len, str(raised.value).splitlines())) < 300


def test_the_split_is_compared_with_the_monolith_in_one_batch() -> None:
    """Given the same batches, both engines have the same wrong result."""
    stream = whole(FLOATS, lines_of("a"))
    with SplitStages(FLOATS) as stages:
        partitioned = PartitionedStream(FLOATS, stream, (7,) * 8)

        assert (
            stages.split(partitioned).comparable
            == stages.monolith(partitioned).comparable
        )
        with pytest.raises(InvarianceError, match="the monolith gives in one batch"):
            stages.check(partitioned)


def test_a_split_that_always_fails_does_not_hold() -> None:
    """Two engines that fail with the same words have compared no result."""
    with pytest.raises(InvarianceError, match=r"both engines fail: .* no luck"):
        Property("split").check_whole(RAISING, cuts(1), data=lines_of("a"))


def test_the_smallest_stream_has_no_record_and_no_cut_too_many() -> None:
    """A failure that needs two records of two batches is shrunk to them."""
    stream = whole(RIGHT, lines_of(*KEYS, count=120))

    def fails(partitioned: PartitionedStream) -> bool:
        batches: list[bytes] = [
            batch.message.text
            for batch in partitioned.stream.cut(partitioned.partition)
        ]
        return any(
            b"k3," in one and b"k4," in other
            for number, one in enumerate(batches)
            for other in batches[number + 1 :]
        )

    smallest = shrink(PartitionedStream(RIGHT, stream, (10,) * 12), fails)

    assert "k3," in str(smallest.stream).splitlines()[0]
    assert "k4," in str(smallest.stream).splitlines()[1]
    assert len(smallest.stream) == 2
    assert smallest.partition == (1,)


@pytest.mark.parametrize("cut", cuts(seed=3), ids=str)
@pytest.mark.parametrize("records", [1, 60, 2100])
def test_a_cut_has_all_records_and_no_empty_batch(cut: Cut, records: int) -> None:
    """The sizes are the same each time."""
    stream = whole(RIGHT, lines_of("a", count=records))

    sizes = cut.partition(stream, most_batches=100)

    assert sum(sizes) == records
    assert min(sizes) >= 1
    assert sizes == cut.partition(stream, most_batches=100)


def test_past_the_most_batches_the_rest_is_in_large_ones() -> None:
    """A million records are not sent one by one."""
    stream = whole(RIGHT, lines_of("a", count=2100))

    assert Cut("1").partition(stream, 50) == (1,) * 50 + (1000, 1000, 50)
    assert Cut("1").small_records(2100, 50) == 50


def test_batches_have_sizes_on_both_sides_of_powers_of_two() -> None:
    """In one cut the sizes do, in another the ends."""
    stream = whole(RIGHT, lines_of("a", count=2100))

    sizes = Cut("powers-of-two").partition(stream, 1000)
    ends = Cut("ends-at-powers-of-two").partition(stream, 1000)

    assert {15, 16, 17, 255, 256, 257, 512} <= set(sizes)
    assert {1023, 1024, 1025, 2047, 2048, 2049} <= {
        sum(ends[:number]) for number in range(len(ends))
    }
    assert near_powers_of_two(10) == [1, 2, 3, 4, 5, 7, 8, 9]


def test_a_batch_has_no_more_bytes_than_one_of_a_run() -> None:
    """Records of 6 MiB are put into batches of two, in every cut."""
    stream = whole(RIGHT, (b"a," + b"1" * (1023 * 1024) + b"\n") * 33)

    assert fewest_batches(stream) == (16, 16)
    assert max(Cut("1000").partition(stream, 1000)) == 16


@pytest.mark.parametrize("name", ["0", "", "x", "random", "random:x", "-1", "1.5"])
def test_a_name_that_is_no_cut_is_refused(name: str) -> None:
    """The error lists what to write."""
    with pytest.raises(UsageError, match="must be a batch size, random:SEED, powers"):
        Cut(name)
