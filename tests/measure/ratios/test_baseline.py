"""The baseline file of ratios."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from pipeline.errors import UsageError
from pytest_pipeline.measure.ratios.baseline import Provenance, Ratio, RatiosBaseline
from pytest_pipeline.measure.ratios.pairs import Pair
from tests.measure.ratios.conftest import MADE_ON

PAIR_10, PAIR_100 = (Pair("events", size, "floor", 1) for size in (10, 100))
AT_10, AT_100 = PAIR_10.name, PAIR_100.name


def content(**changes: object) -> bytes:
    """Return a file of one ratio, with fields changed."""
    ratio = {"low": 1, "value": 1, "high": 1} | changes
    return msgspec.json.encode(
        {"ratios": {"a": ratio}, "records": {}, "made_on": MADE_ON, "records_per_s": {}}
    )


def test_the_file_reads_back_and_is_sorted_by_batch_size(tmp_path: Path) -> None:
    """Figures are rounded to four digits."""
    path = tmp_path / "ratios.json"
    baseline = RatiosBaseline(MADE_ON)
    baseline.replace(AT_100, Ratio(1.23456, 1.5, 2), {"split": 98765.4})
    baseline.replace(AT_10, Ratio(1, 1, 1), {"split": 5})

    baseline.set_records(PAIR_100, 100, 5000)

    baseline.write(path)

    assert list(json.loads(path.read_text())["ratios"]) == [AT_10, AT_100]
    assert RatiosBaseline.read(path) == RatiosBaseline(
        MADE_ON,
        {AT_10: Ratio(1, 1, 1), AT_100: Ratio(1.235, 1.5, 2)},
        {"events at batch size 100": 5000},
        {AT_10: {"split": 5}, AT_100: {"split": 98770}},
    )


def test_replacing_a_ratio_keeps_the_others() -> None:
    """Other ratios stay until they are dropped."""
    baseline = RatiosBaseline(MADE_ON)
    baseline.replace(AT_10, Ratio(1, 1, 1), {"split": 1})
    baseline.replace(AT_100, Ratio(1, 1, 1), {"split": 1})

    baseline.replace(AT_100, Ratio(2, 2, 2), {"split": 2})
    for pair in (PAIR_10, PAIR_100):
        baseline.set_records(pair, pair.batch_size, 1000)

    assert baseline.ratios == {AT_10: Ratio(1, 1, 1), AT_100: Ratio(2, 2, 2)}
    assert baseline.others([PAIR_100]) == [AT_10]
    baseline.drop_others([PAIR_100])
    assert baseline == RatiosBaseline(
        MADE_ON,
        {AT_100: Ratio(2, 2, 2)},
        {"events at batch size 100": 1000},
        {AT_100: {"split": 2}},
    )


def test_a_ratio_has_the_records_of_its_runs() -> None:
    """A speedup has the records of two batch sizes."""
    baseline = RatiosBaseline(MADE_ON)
    speedup = Pair("events", 100, "smallest", 1)

    baseline.set_records(speedup, 1, 50)

    assert baseline.records_of(speedup) == {1: 50}
    baseline.set_records(PAIR_100, 100, 5000)
    assert baseline.records_of(speedup) == {1: 50, 100: 5000}
    assert baseline.records_of(PAIR_10) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"{", "truncated"),
        (b'{"counts": {}}', "unknown field `counts`"),
        (content(low=2), r"0 < low <= value <= high - at `\$\.ratios"),
        (content(low=0), "0 < low"),
        (content(high="2"), "Expected `float`"),
        (content(hihg=2), "unknown field `hihg`"),
    ],
)
def test_a_file_of_another_format_is_refused(
    tmp_path: Path, text: bytes, said: str
) -> None:
    """The error names the file and what is wrong with it, in one line."""
    path = tmp_path / "ratios.json"
    path.write_bytes(text)

    with pytest.raises(UsageError, match=f"^--pipeline-baseline {path}: .*{said}"):
        RatiosBaseline.read(path)


def test_a_file_that_is_missing_or_can_t_be_written_is_an_error(tmp_path: Path) -> None:
    """The error for a missing file names the option that makes it."""
    path = tmp_path / "nowhere" / "ratios.json"

    with pytest.raises(UsageError, match=r"--pipeline-update-baseline makes it$"):
        RatiosBaseline.read(path)
    with pytest.raises(UsageError, match="no such file or directory"):
        RatiosBaseline(MADE_ON).write(path)


def test_ratios_are_comparable_by_architecture_and_cores() -> None:
    """Other differences, such as the Python, do not matter."""
    machine = MADE_ON.machine
    newer = Provenance(
        "x86_64", msgspec.structs.replace(machine, python="CPython 3.14")
    )
    larger = Provenance("arm64", msgspec.structs.replace(machine, cores=8))

    assert MADE_ON.difference(newer) == ""
    assert (
        MADE_ON.difference(larger) == "architecture x86_64, here arm64; cores 2, here 8"
    )
    assert Provenance.here().difference(Provenance.here()) == ""
