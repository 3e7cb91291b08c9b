"""The records that benchmarks run on."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.batching import BatchLimits
from pipeline.errors import UsageError
from pipeline.v1.lines_pb2 import LineSource
from pipeline.workloads import workload_named
from pytest_pipeline.measure import dataset as dataset_module
from pytest_pipeline.measure.dataset import dataset_of

LINES = b'{"ts":"2026-01-01T00:00:00Z","type":"click","user":"u","value":10}\n' * 7


def test_events_are_generated_once_for_all_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run reads as many of them as it needs."""
    monkeypatch.setattr(dataset_module, "EVENTS", 30)

    dataset = dataset_of(workload_named("events"), tmp_path)
    settings = dataset.settings(20, batch_size=5, output=tmp_path / "out")

    assert dataset.available == 30
    assert dataset.path is not None
    assert dataset.path.read_bytes().count(b"\n") == 30
    assert settings.max_records == 20
    assert settings.limits == BatchLimits(5)
    assert settings.input == str(dataset.path)


def test_data_that_is_given_is_read_and_counted(tmp_path: Path) -> None:
    """A run can have at most the records of the input."""
    dataset = dataset_of(workload_named("events"), tmp_path, LINES)

    assert dataset.available == 7
    assert dataset.path is not None
    assert dataset.path.read_bytes() == LINES
    assert isinstance(dataset.source(3), LineSource)


def test_a_workload_that_generates_records_generates_those_of_a_run(
    tmp_path: Path,
) -> None:
    """The source has the options of the records."""
    dataset = dataset_of(
        workload_named("work-items"), tmp_path, options={"iterations": 3}
    )

    assert dataset.available is None
    assert dataset.source(12) == workload_named("work-items").source.describe(
        records=12, iterations=3
    )


def test_a_workload_that_generates_records_ignores_data(tmp_path: Path) -> None:
    """Suites give --pipeline-data to every workload."""
    dataset = dataset_of(workload_named("mixed"), tmp_path, LINES)

    assert dataset.path is None
    assert dataset.available is None


@pytest.mark.parametrize(
    ("name", "data", "options", "said"),
    [
        (
            "access_logs:ACCESS_LOGS",
            None,
            {},
            "workload access_logs:ACCESS_LOGS reads its records; give --pipeline-data",
        ),
        ("work-items", None, {"colour": 1}, "workload work-items can't be measured"),
        ("events", LINES, {"colour": 1}, "workload events can't be measured"),
    ],
)
def test_missing_data_and_unknown_options_are_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    data: bytes | None,
    options: dict[str, object],
    said: str,
) -> None:
    """An input that is missing, or an option it does not have, is a usage error."""
    examples = Path(__file__).parent.parent.parent / "examples" / "access_logs"
    monkeypatch.syspath_prepend(examples)

    with pytest.raises(UsageError) as caught:
        dataset_of(workload_named(name), tmp_path, data, options)
    assert str(caught.value).startswith(said)
