"""The distributed engine gives what the monolith gives, whatever the file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.batching import BatchLimits
from pipeline.engines.base import RunSettings
from pipeline.engines.monolith import MonolithEngine
from pipeline.workload import Workload
from pipeline.workloads import workload_named
from pipeline.workloads.lines import line_source
from pytest_pipeline import strategies
from tests.engines.distributed.runs import cut_small, outcome, serial_engine

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "access_logs"


@pytest.fixture(autouse=True)
def example_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the workload of the example be found."""
    monkeypatch.syspath_prepend(EXAMPLE)


def access_logs() -> st.SearchStrategy[bytes]:
    """Lines of the example in any order, with or without the last line end."""
    lines = (EXAMPLE / "access.log").read_bytes().splitlines(keepends=True)
    some = st.lists(st.sampled_from(lines), max_size=30).map(b"".join)
    return st.builds(lambda text, cut: text[: len(text) - cut], some, st.integers(0, 1))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    strategies.evenly(
        st.tuples(st.just("events"), strategies.event_files()),
        st.tuples(st.just("access_logs:ACCESS_LOGS"), access_logs()),
    ),
    st.integers(1, 25),
    st.integers(1, 400) | st.just(1 << 20),
    st.integers(0, 25),
    st.integers(1, 300),
    st.integers(1, 1000),
    st.integers(1, 5),
)
def test_the_distributed_engine_equals_the_monolith(
    tmp_path: Path,
    workload_and_data: tuple[str, bytes],
    batch_records: int,
    batch_bytes: int,
    max_records: int,
    block_bytes: int,
    part_bytes: int,
    window: int,
) -> None:
    """Result, rejects and counts are the same, or the failure is."""
    name, data = workload_and_data
    path = tmp_path / "in"
    path.write_bytes(data)
    workload: Workload = cut_small(workload_named(name), block_bytes, part_bytes)
    run = RunSettings(
        workload=workload,
        source=line_source(path, max_line_bytes=300),
        input=str(path),
        output=tmp_path / "out",
        rejects=tmp_path / "rejects",
        limits=BatchLimits(batch_records, batch_bytes),
        max_records=max_records,
    )

    assert outcome(serial_engine(window), run) == outcome(MonolithEngine(), run)
