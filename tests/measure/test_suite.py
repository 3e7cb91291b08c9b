"""The shipped benchmarks, as a user runs them from another folder.

Their claims about speed are not tested here: tests should not depend on time.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
SUITE = (
    *("--pyargs", "pytest_pipeline.suite.benchmarks", "--benchmark-only"),
    # As short as possible.
    *("--pipeline-run-seconds", "0.002", "--benchmark-json", "saved.json"),
)
MEASURES = "not claims and not work and not flight and not bytewax and not dask"


@pytest.fixture(autouse=True)
def not_in_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pytest-benchmark measure, which it does not in a worker of xdist."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)


def saved(pytester: pytest.Pytester) -> dict[str, dict[str, Any]]:
    """Return what is saved of each benchmark, by its name."""
    content = json.loads((pytester.path / "saved.json").read_text())
    return {
        one["name"]: one["extra_info"]["pipeline"]
        for one in content["benchmarks"]
        if "pipeline" in one["extra_info"]
    }


def test_every_way_to_run_events_is_measured(pytester: pytest.Pytester) -> None:
    """Each engine is measured at each batch size, and run reports are saved."""
    result = pytester.runpytest_subprocess(
        *SUITE,
        *("--pipeline-workload", "events", "--pipeline-batch-sizes", "1,50"),
        *("--pipeline-arrival-rate", "2000", "-k", MEASURES),
        *("--pipeline-report", "page.html"),
    )

    result.assert_outcomes(passed=26)
    kept = saved(pytester)
    for size in (1, 50):
        split = kept[f"test_split[events-{size}]"]
        floor = kept[f"test_floor[events-{size}]"]
        assert len(split["throughput_per_s"]) == len(split["ipc_share"]) == 7
        assert 0 < split["ipc_share"][0] < 1
        assert split["run"]["stream_writes"] == 3 * -(-split["records"] // size)
        assert split["run"]["stages"]["parse"]["bytes_in"] > 0
        assert split["run"]["stages"]["parse"]["seconds"]["process"] > 0
        assert floor["run"]["stream_writes"] == split["run"]["stream_writes"]
        for engine in ("split", "monolith", "queues", "floor"):
            one = kept[f"test_{engine}[events-{size}]"]
            assert (one["variant"], one["workload"]) == (engine, "events")
            assert one["records"] == split["records"]
    assert kept["test_transport[tls-100]"]["transport"] == "tls"
    # Of the stage with the most work.
    assert list(kept["test_replicas[2-1]"]["replicas"].values()) == [2]
    latency = kept["test_latency[10]"]["latency"]
    assert latency["rate_per_s"] == 2000
    assert set(latency["service"]) == {"p50", "p99", "p999"}
    loads = [kept[f"test_latency_at_load[{share}%]"] for share in (10, 25, 50, 75, 90)]
    rates = [load["latency"]["rate_per_s"] for load in loads]
    assert [rate / rates[0] for rate in rates] == pytest.approx([1, 2.5, 5, 7.5, 9])
    result.stdout.fnmatch_lines(["*what was measured*", "written: page.html"])
    assert (pytester.path / "page.html").exists()


@pytest.mark.parametrize(
    ("engine", "library", "extra"),
    [
        ("flight", "pyarrow", "peers"),
        ("bytewax", "bytewax", "peers"),
        ("dask", "distributed", "dask"),
    ],
)
def test_an_optional_engine_is_measured_where_it_is_installed(
    pytester: pytest.Pytester, engine: str, library: str, extra: str
) -> None:
    """It is skipped with the reason where it is not."""
    result = pytester.runpytest_subprocess(
        *SUITE,
        *("--pipeline-workload", "events", "--pipeline-batch-sizes", "50"),
        *("-k", f"test_{engine}", "-rs"),
    )

    if find_spec(library):
        result.assert_outcomes(passed=1)
        assert saved(pytester)[f"test_{engine}[events-50]"]["variant"] == engine
    else:
        result.assert_outcomes(skipped=1)
        result.stdout.fnmatch_lines(
            [f"*{library} is not installed; the extra `{extra}`*"]
        )


def test_a_users_workload_is_measured_instead_of_the_shipped_ones(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Claims about shipped workloads and batch sizes beyond the data are skipped."""
    examples = ROOT / "examples" / "access_logs"
    monkeypatch.setenv("PYTHONPATH", str(examples))

    result = pytester.runpytest_subprocess(
        *SUITE,
        *("--pipeline-workload", "access_logs:ACCESS_LOGS"),
        *("--pipeline-data", str(examples / "access.log")),
        *("--pipeline-batch-sizes", "10,5000"),
        *("-k", "split or queues or worth or knee or replicas_gain"),
        "-rs",
    )

    result.assert_outcomes(passed=2, skipped=5)
    result.stdout.fnmatch_lines(
        [
            "*batch size 5000: the input of access_logs:ACCESS_LOGS has only 400*",
            "*this is of workload events, which was not asked for*",
        ]
    )
    split = saved(pytester)["test_split[access_logs:ACCESS_LOGS-10]"]
    assert split["workload"] == "access_logs:ACCESS_LOGS"


def test_a_users_stage_is_measured_with_the_shipped_ones(
    pytester: pytest.Pytester,
) -> None:
    """Its transport is not measured, since the user chooses the address."""
    command = f"{sys.executable} -P -m pipeline serve parse --bind 127.0.0.1:0"

    result = pytester.runpytest_subprocess(
        *SUITE,
        *("--pipeline-stage", f"parse={command}", "--pipeline-batch-sizes", "50"),
        *("-k", "test_split or test_transport", "-rs"),
    )

    result.assert_outcomes(passed=1, skipped=6)
    assert list(saved(pytester)) == ["test_split[events-50]"]
    result.stdout.fnmatch_lines(["*stages that are given are reached at*"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--pipeline-workload", "nothing"), "workload 'nothing': not known"),
        (("--pipeline-data", "nothing"), "--pipeline-data nothing: *"),
    ],
)
def test_a_usage_error_is_reported_once_before_any_test(
    pytester: pytest.Pytester, options: tuple[str, ...], said: str
) -> None:
    """The session exits with 2."""
    result = pytester.runpytest_subprocess(*SUITE, *options)

    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines([f"*usage error: {said}*"])


def test_this_project_measures_itself_with_the_shipped_suite() -> None:
    """In its folder, `pytest --benchmark-only` collects the shipped suite only."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "--benchmark-only", "--collect-only"),
            *("-q", "-p", "no:cacheprovider"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    collected = [line for line in done.stdout.splitlines() if "::" in line]
    assert collected
    assert all("suite/benchmarks/" in line for line in collected)


def test_languages_that_are_not_built_are_skipped_by_name(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any, nothing is compared."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(pytester.path))

    result = pytester.runpytest_subprocess(
        "--pyargs", "pytest_pipeline.suite.languages", "-rs"
    )

    result.assert_outcomes(skipped=29)
    result.stdout.fnmatch_lines(
        [
            "*the stages in rust are not built; run: pipeline build-stages rust",
            "*no language but Python is built; run: pipeline build-stages",
        ]
    )
