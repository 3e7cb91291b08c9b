"""The baseline file of counts, and the lines about counts that differ from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pytest_pipeline.measure.counts.baseline import (
    CountsBaseline,
    Instructions,
    instructions_difference,
)

AT_1, AT_10 = "events at batch size 1", "events at batch size 10"


def test_a_count_that_differs_is_a_line() -> None:
    """The line has both counts, and for bytes also those of a record."""
    baseline = CountsBaseline()
    baseline.replace(AT_10, {"records": 10, "bytes to parse": 900, "writes": 3})

    lines = baseline.differences(
        AT_10, {"records": 10, "bytes to parse": 1000, "writes": 4}
    )

    assert lines == [
        f"{AT_10}: bytes to parse: 1,000, baseline 900 (100.00 a record, +10.00)",
        f"{AT_10}: writes: 4, baseline 3",
    ]


def test_a_missing_or_new_count_is_a_line() -> None:
    """A count that only one side has is a difference."""
    baseline = CountsBaseline()
    baseline.replace(AT_10, {"records": 10, "writes": 3})

    assert baseline.differences(AT_10, {"records": 10, "messages": 3}) == [
        f"{AT_10}: messages: 3, but the baseline has no such count",
        f"{AT_10}: writes: nothing counts this, baseline 3",
    ]


def test_equal_counts_give_no_line() -> None:
    """Batch size 10 is not taken for batch size 1, whose name it begins with."""
    baseline = CountsBaseline()
    baseline.replace(AT_1, {"records": 5})
    baseline.replace(AT_10, {"records": 6})

    assert baseline.differences(AT_1, {"records": 5}) == []
    assert baseline.others([AT_1]) == [f"{AT_10}: records"]
    assert baseline.others([AT_1, AT_10]) == []


def test_replacing_counts_removes_the_old_ones() -> None:
    """An updated file has only what was counted."""
    baseline = CountsBaseline({f"{AT_1}: old": 1, f"{AT_10}: old": 1})

    baseline.replace(AT_1, {"new": 2})
    baseline.drop_others([AT_1])

    assert baseline.counts == {f"{AT_1}: new": 2}


def test_the_file_has_one_count_a_line_in_the_order_of_batch_sizes(
    tmp_path: Path,
) -> None:
    """The file is sorted naturally, and reads back equal."""
    path = tmp_path / "counts.json"
    written = CountsBaseline(
        {f"{AT_10}: a": 1, f"{AT_1}: b": 2, f"{AT_1}: a": 3},
        Instructions({"python": "3"}, {"parse": 7}),
    )

    written.write(path)

    assert [line.strip() for line in path.read_text().splitlines()[1:6]] == [
        '"counts": {',
        f'"{AT_1}: a": 3,',
        f'"{AT_1}: b": 2,',
        f'"{AT_10}: a": 1',
        "},",
    ]
    assert CountsBaseline.read(path) == written


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "--pipeline-baseline .*truncated"),
        ('{"counts": {"a": "b"}}', "Expected `int`"),
        ('{"count": {}}', "unknown field `count`"),
    ],
)
def test_a_file_of_another_format_is_refused(
    tmp_path: Path, text: str, said: str
) -> None:
    """The error names the file and what is wrong with it."""
    path = tmp_path / "counts.json"
    path.write_text(text)

    with pytest.raises(UsageError, match=said):
        CountsBaseline.read(path)


def test_a_missing_file_is_an_error_that_says_how_to_make_it(tmp_path: Path) -> None:
    """The error for a missing file names the option that makes it."""
    with pytest.raises(UsageError, match=r"--pipeline-update-baseline makes it$"):
        CountsBaseline.read(tmp_path / "counts.json")


def test_a_file_that_can_t_be_written_is_an_error(tmp_path: Path) -> None:
    """A file in a missing folder is an error."""
    with pytest.raises(UsageError, match="no such file or directory"):
        CountsBaseline().write(tmp_path / "nowhere" / "counts.json")


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        (1000, 1020, ""),
        (1000, 980, ""),
        (1000, 1021, "parse: 1,021, baseline 1,000 (+2.1%, and 2.0% more or less"),
        (1000, 900, "parse: 900, baseline 1,000 (-10.0%, and 2.0% more or less"),
        (None, 900, "parse: 900, but the baseline has no such count"),
    ],
)
def test_instructions_have_a_tolerance(was: int | None, now: int, said: str) -> None:
    """Fewer instructions are a difference too, since the file is then out of date."""
    line = instructions_difference("parse", was, now)

    assert line.startswith(said) if said else line == ""
