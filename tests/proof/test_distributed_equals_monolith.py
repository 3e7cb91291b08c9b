"""The distributed engine gives what the monolith gives, whatever the file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.engines.base import RunSettings
from pipeline.engines.monolith import MonolithEngine
from pipeline.workloads import workload_named
from pipeline.workloads.lines import line_source
from pytest_pipeline import strategies
from tests.engines.distributed.runs import Sizes, outcome, serial_engine, sizes

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
    sizes(),
)
def test_the_distributed_engine_equals_the_monolith(
    tmp_path: Path,
    workload_and_data: tuple[str, bytes],
    cut: Sizes,
) -> None:
    """Result, rejects and counts are the same, or the failure is."""
    name, data = workload_and_data
    path = tmp_path / "in"
    path.write_bytes(data)
    run = RunSettings(
        workload=workload_named(name),
        source=line_source(path, max_line_bytes=300),
        input=str(path),
        output=tmp_path / "out",
        rejects=tmp_path / "rejects",
    )
    run = cut.applied_to(run)

    assert outcome(serial_engine(cut.window), run) == outcome(MonolithEngine(), run)
