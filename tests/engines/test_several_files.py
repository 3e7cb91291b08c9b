"""The split reads several files as if they were one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.batching import BatchLimits
from pipeline.engines.monolith import MonolithEngine
from pipeline.engines.split import SplitEngine
from pipeline.errors import SourceError
from pipeline.workloads.lines import line_source
from tests.engines.conftest import SettingsFor
from tests.engines.distributed.runs import outcome
from tests.engines.several_files import cut_files, one_file, over_files


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut_files(), st.integers(1, 25), st.integers(0, 25))
def test_several_files_equal_one(
    tmp_path: Path,
    settings_for: SettingsFor,
    addresses: dict[str, str],
    files: list[bytes],
    batch_size: int,
    max_records: int,
) -> None:
    """Result, rejects and counts are those of the monolith over one file."""
    of_one = settings_for(
        one_file(files),
        limits=BatchLimits(batch_size),
        source=line_source(tmp_path / "in.ndjson", max_line_bytes=300),
        max_records=max_records,
    )
    of_several = over_files(of_one, tmp_path, files)

    expected = outcome(MonolithEngine(), of_one)
    assert outcome(SplitEngine(addresses), of_several) == expected


def test_a_server_opens_each_file_only_in_its_folders(
    settings_for: SettingsFor, addresses: dict[str, str], tmp_path: Path
) -> None:
    """The first may be inside, and the second not."""
    run = settings_for(b"a line\n")
    outside = str(tmp_path.parent / "outside")
    run.source.MergeFrom(line_source(run.input, more=[outside]))

    with pytest.raises(SourceError, match="outside the folders that ingest serves"):
        SplitEngine(addresses).run(run)
