"""The comparison of languages, as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.stages.conftest import NAMES, built

LANGUAGES = ["python", "go", "rust", "rust-debug", "typescript"]


def test_all_languages_are_compared_in_the_pipeline_and_alone(tmp_path: Path) -> None:
    """Each comparison has the same rounds of every language."""
    for name in (*NAMES, "rust-debug"):
        built(name)

    subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider"),
            *("--pyargs", "pytest_pipeline.suite.languages"),
            *("-k", "not 1000 and not 0000"),
            # As short as possible.
            *("--pipeline-run-seconds", "0.002", "--pipeline-batch-sizes", "10"),
            *("--benchmark-json", "saved.json", "--pipeline-report", "page.html"),
        ],
        capture_output=True,
        check=True,
        cwd=tmp_path,
        # pytest-benchmark does not measure in a worker of xdist.
        env={
            name: value
            for name, value in os.environ.items()
            if name != "PYTEST_XDIST_WORKER"
        },
    )

    content = json.loads((tmp_path / "saved.json").read_text())
    found = {
        one["name"]: one["extra_info"]["pipeline"]["languages"]
        for one in content["benchmarks"]
    }
    assert len(found) == 13
    for name, runs in found.items():
        mixed = [] if "alone" in name else ["mix"]
        assert [one["language"] for one in runs] == [*LANGUAGES, *mixed]
        assert {len(one["throughput_per_s"]) for one in runs} == {12}
        assert all(sum(one["cpu_s"].values()) > 0 for one in runs)
    assert list(found["test_stage_alone[sink-100]"][0]["cpu_s"]) == ["sink"]
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Languages: one stage alone under load" in page
