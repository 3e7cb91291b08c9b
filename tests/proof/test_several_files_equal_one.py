"""A run over several files gives what a run over all their lines in one file gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.batching import BatchLimits
from pipeline.engines.base import RunSettings
from pipeline.engines.monolith import MonolithEngine
from pipeline.workloads import workload_named
from pipeline.workloads.lines import line_source
from tests.engines.distributed.runs import cut_small, outcome, serial_engine
from tests.engines.several_files import cut_files, one_file, over_files, wrappers


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cut_files(),
    wrappers(),
    st.integers(1, 25),
    st.integers(1, 400) | st.just(1 << 20),
    st.integers(0, 25),
    st.integers(1, 300),
    st.integers(1, 1000),
    st.integers(1, 5),
)
def test_several_files_equal_one(
    tmp_path: Path,
    files: list[bytes],
    compressed_by: list[Callable[[bytes], bytes]],
    batch_records: int,
    batch_bytes: int,
    max_records: int,
    block_bytes: int,
    part_bytes: int,
    window: int,
) -> None:
    """In the monolith and in parts, wherever the lines were cut into files."""
    path = tmp_path / "in"
    path.write_bytes(one_file(files))
    of_one = RunSettings(
        workload=cut_small(workload_named("events"), block_bytes, part_bytes),
        source=line_source(path, max_line_bytes=300),
        input=str(path),
        output=tmp_path / "out",
        rejects=tmp_path / "rejects",
        limits=BatchLimits(batch_records, batch_bytes),
        max_records=max_records,
    )
    of_several = over_files(of_one, tmp_path, files, compressed_by)

    expected = outcome(MonolithEngine(), of_one)
    assert outcome(MonolithEngine(), of_several) == expected
    assert outcome(serial_engine(window), of_several) == expected
