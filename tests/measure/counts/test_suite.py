"""The shipped suite of counts, as a user runs it from another folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.measure.counts.conftest import DATA

ROOT = Path(__file__).parents[3]
SUITE = (
    *("--pyargs", "pytest_pipeline.suite.counts", "--pipeline-baseline", "counts.json"),
    *("--pipeline-workload", "events", "--pipeline-data", "data"),
    *("--pipeline-batch-sizes", "1,100", "-p", "no:cacheprovider"),
)
UPDATE = "--pipeline-update-baseline"


@pytest.fixture(autouse=True)
def _data(pytester: pytest.Pytester) -> None:
    (pytester.path / "data").write_bytes(DATA)


def run(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    """Run in this process, so that the engine can be broken, and without instructions.

    Counting those takes half a minute, and has tests of its own.
    """
    return pytester.runpytest_inprocess(*SUITE, "-k", "not instructions", *options)


def edit(pytester: pytest.Pytester, **changes: int | None) -> None:
    """Set counts of the events workload at batch size 100 in the file; None deletes."""
    path = pytester.path / "counts.json"
    content = json.loads(path.read_text())
    for name, count in changes.items():
        key = f"events at batch size 100: {name.replace('_', ' ')}"
        if count is None:
            del content["counts"][key]
        else:
            content["counts"][key] = count
    path.write_text(json.dumps(content))


def test_a_missing_file_is_a_usage_error(pytester: pytest.Pytester) -> None:
    """The error comes once, before any test runs."""
    result = run(pytester)

    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(
        ["usage error: --pipeline-baseline counts.json: there is no such file; *"]
    )


def test_naming_no_file_is_a_usage_error(pytester: pytest.Pytester) -> None:
    """The error names the option to give."""
    result = pytester.runpytest_inprocess("--pyargs", "pytest_pipeline.suite.counts")

    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["usage error: *; give --pipeline-baseline FILE, *"])


def test_a_new_file_passes_until_a_write_is_added(
    pytester: pytest.Pytester, request: pytest.FixtureRequest
) -> None:
    """One more write in a hundred batches fails, though the run report lacks it."""
    result = run(pytester, UPDATE)
    result.assert_outcomes(passed=3, deselected=3)
    result.stdout.fnmatch_lines(["written: counts.json; *"])
    written = (pytester.path / "counts.json").read_bytes()

    run(pytester).assert_outcomes(passed=3, deselected=3)

    request.getfixturevalue("wasteful")
    result = run(pytester)
    result.assert_outcomes(passed=2, failed=1, deselected=3)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "events at batch size 1: stream writes to parse: 207, baseline 205",
            "if this is meant: --pipeline-update-baseline, and commit counts.json",
        ]
    )
    assert (pytester.path / "counts.json").read_bytes() == written


def test_missing_new_and_changed_counts_fail(pytester: pytest.Pytester) -> None:
    """Each count that differs fails with a line, until the file is updated."""
    run(pytester, UPDATE)
    edit(
        pytester,
        stream_writes_to_parse=None,
        stream_writes_to_rules=2,
        stream_writes_to_split=3,
    )
    content = json.loads((pytester.path / "counts.json").read_text())
    content["counts"]["events at batch size 7: records"] = 205
    (pytester.path / "counts.json").write_text(json.dumps(content))

    result = run(pytester)

    result.assert_outcomes(passed=1, failed=2, deselected=3)
    at = "events at batch size 100"
    result.stdout.fnmatch_lines(
        [
            f"{at}: stream writes to parse: 3, but the baseline has no such count",
            f"{at}: stream writes to rules: 3, baseline 2",
            f"{at}: stream writes to split: nothing counts this, baseline 3",
            "events at batch size 7: records: nothing counts this, baseline 205",
        ]
    )
    run(pytester, UPDATE)
    run(pytester).assert_outcomes(passed=3, deselected=3)


def test_the_ini_key_is_relative_to_its_file(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path is relative to the ini file, and not to the working directory."""
    pytester.makeini("[pytest]\npipeline_baseline = kept/counts.json")
    pytester.mkdir("kept").joinpath("counts.json").write_text('{"counts": {"a": "b"}}')
    monkeypatch.chdir(pytester.mkdir("elsewhere"))

    result = pytester.runpytest_inprocess(
        *("--pyargs", "pytest_pipeline.suite.counts", "-c", "../tox.ini")
    )

    result.stdout.fnmatch_lines(["usage error: *kept/counts.json: Expected `int`*"])


def test_workers_of_xdist_do_not_write_the_file(pytester: pytest.Pytester) -> None:
    """An update under xdist is a usage error: each worker has only some counts."""
    result = pytester.runpytest_subprocess(*SUITE, UPDATE, "-n", "1")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*workers of xdist would write over each other*"])
    assert not (pytester.path / "counts.json").exists()


def test_instructions_of_another_python_are_skipped(
    pytester: pytest.Pytester,
) -> None:
    """The counts of messages are still compared."""
    run(pytester, UPDATE)
    path = pytester.path / "counts.json"
    content = json.loads(path.read_text())
    content["instructions"] = {"fingerprint": {"python": "PyPy 2"}, "per_call": {}}
    path.write_text(json.dumps(content))

    result = pytester.runpytest_inprocess(*SUITE, "-rs")

    result.assert_outcomes(passed=3, skipped=3)
    result.stdout.re_match_lines(
        [r".*(of another kind: .*baseline PyPy 2|neither valgrind nor perf).*"]
    )


def test_the_project_s_own_file_has_every_workload_and_size() -> None:
    """It also has the instructions of each stage of events."""
    content = json.loads((ROOT / "benchmarks" / "counts.json").read_text())

    for workload in ("events", "work-items", "mixed"):
        for size in (1, 10, 100, 1000):
            name = f"{workload} at batch size {size}: stream writes to parse"
            assert content["counts"][name] == -(-1234 // size)
    assert len(content["instructions"]["per_call"]) == 3
