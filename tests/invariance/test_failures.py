"""Failures that an earlier run found are tried first."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis.database import DirectoryBasedExampleDatabase

from pytest_pipeline.invariance import InvarianceError, Property
from pytest_pipeline.invariance.failures import Failure, Failures
from pytest_pipeline.records.streams import Stream
from tests.invariance.wrong_workloads import FLOATS, RIGHT, lines_of

PROPERTY = Property("partition", "summed")
DATA = lines_of("a", "b")
EARLIER = "An earlier run found this, so it was tried first."


def search(failures: Failures, data: bytes = DATA) -> str:
    """Search for what is wrong with sums of floats."""
    return PROPERTY.search(FLOATS, data=data, examples=1, failures=failures)


def test_the_next_run_tries_what_failed_first(tmp_path: Path) -> None:
    """It fails with data that would not show it."""
    failures = Failures(tmp_path)
    with pytest.raises(InvarianceError) as first:
        search(failures)

    with pytest.raises(InvarianceError, match=EARLIER) as again:
        search(Failures(tmp_path), data=b"a,1\n")

    assert EARLIER not in str(first.value)
    smallest = str(again.value).removesuffix(EARLIER)
    assert str(first.value).startswith(smallest)


def test_a_failure_of_the_whole_data_is_kept_by_its_cut(tmp_path: Path) -> None:
    """A stream that is too large to keep is found by cutting the data again."""
    failures = Failures(tmp_path)
    failures.add(FLOATS, str(PROPERTY), Failure(cut="10"))

    with pytest.raises(InvarianceError, match=EARLIER) as raised:
        search(failures)

    assert "--data DATA --cut 10" in str(raised.value)


def test_a_failure_that_holds_now_is_forgotten(tmp_path: Path) -> None:
    """A workload that was mended passes, and goes on to the search."""
    failures = Failures(tmp_path)
    with pytest.raises(InvarianceError):
        search(failures)
    (kept,) = failures.of(FLOATS, str(PROPERTY))
    failures.add(RIGHT, "merge", kept)

    Property("merge").search(RIGHT, data=b"a,1\n", examples=1, failures=failures)

    assert failures.of(RIGHT, "merge") == []
    assert failures.of(FLOATS, str(PROPERTY)) == [kept]


@pytest.mark.parametrize("kept", [b"\xff", b"{}", b"[]", b'{"stream":"?"}'])
def test_what_can_not_be_read_any_more_is_forgotten(
    tmp_path: Path, kept: bytes
) -> None:
    """A failure of another version of the workload or of this package is no error."""
    key = f"{FLOATS.name} {PROPERTY}".encode()
    DirectoryBasedExampleDatabase(tmp_path).save(key, kept)

    assert Failures(tmp_path).of(FLOATS, str(PROPERTY)) == []
    assert list(DirectoryBasedExampleDatabase(tmp_path).fetch(key)) == []


@pytest.mark.parametrize("folder", ["file/below", "file"])
def test_a_folder_that_can_not_be_written_keeps_nothing(
    tmp_path: Path, folder: str
) -> None:
    """The failure itself is raised as ever."""
    (tmp_path / "file").write_text("")

    with pytest.raises(InvarianceError) as raised:
        search(Failures(tmp_path / folder))

    assert "the smallest stream" in str(raised.value)
    assert Failures(tmp_path / folder).of(FLOATS, str(PROPERTY)) == []


def test_failures_are_kept_beside_those_of_hypothesis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hypothesis's own variable moves them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYPOTHESIS_STORAGE_DIRECTORY", raising=False)
    failure = Failure(stream=Stream(()).encode())

    Failures.here().add(FLOATS, "merge", failure)
    monkeypatch.setenv("HYPOTHESIS_STORAGE_DIRECTORY", str(tmp_path / "elsewhere"))

    assert (tmp_path / ".hypothesis/pipeline-invariance").is_dir()
    assert Failures.here().of(FLOATS, "merge") == []
