"""The shipped suite of ratios, as a user runs it.

A file says what is measured, since tests should not depend on time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_pipeline.measure.ratios.baseline import Provenance, Ratio, RatiosBaseline
from pytest_pipeline.measure.ratios.pairs import pairs_of
from pytest_pipeline.suite.ratios.conftest import BATCH_SIZES, WORKLOAD

ROOT = Path(__file__).parents[3]
SUITE = (
    *("--pyargs", "pytest_pipeline.suite.ratios", "--pipeline-baseline", "ratios.json"),
    *("-p", "no:cacheprovider", "-p", "told", "-rs"),
)
SIZES = (
    *("--pipeline-batch-sizes", "1,10", "--pipeline-run-seconds", "0.001"),
    *("--pipeline-data", "data"),
)
UPDATE = "--pipeline-update-baseline"
EVENT = '{"ts":"2026-01-01T00:00:00Z","type":"click","user":"u","value":10}\n'

SPEEDUP = "events: speedup of batch size 10 over 1"
COST = "events at batch size 10: split to its floor"

#: A plugin that measures nothing: ratios come from told.json, or are about 2.
TOLD = """
import json
from pathlib import Path

from pytest_pipeline.measure.ratios import measuring
from pytest_pipeline.measure.ratios.baseline import Ratio
from pytest_pipeline.measure.ratios.judging import MeasuredRatio

def measure_ratio(harness, pair, records, *, is_open, budget_s):
    assert records.keys() == set(pair.batch_sizes)
    told = json.loads(Path("told.json").read_text())
    low, high = told.get(pair.name, [1.9, 2.1])
    used = told.get("used", 0.0)
    found = MeasuredRatio(Ratio(low, low, high), 1.0, 12, {"split": 1000.0}, used)
    is_open(found)
    return found

measuring.records_for = lambda harness, workload, batch_size: 10 * batch_size
measuring.measure_ratio = measure_ratio
"""

#: A plugin that runs each kind once, and reports the same time for all.
RUN_ONCE = """
from pytest_pipeline.measure.ratios import measuring
from pytest_pipeline.measure.ratios.baseline import Ratio
from pytest_pipeline.measure.ratios.judging import MeasuredRatio

def measure_rounds(above, below, *, is_open, budget_s):
    per_s = {}
    for runs in (above, below):
        report = runs.run()
        assert report.records.ingested == runs.records
        per_s[runs.name] = float(report.stream_writes)
    return MeasuredRatio(Ratio(1.0, 1.0, 1.0), 1.0, 12, per_s)

measuring.measure_rounds = measure_rounds
"""


@pytest.fixture(autouse=True)
def _told(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(told=TOLD)
    tell(pytester, {})
    (pytester.path / "data").write_text(EVENT * 200)


def tell(pytester: pytest.Pytester, ratios: Mapping[str, object]) -> None:
    """Set the interval of each ratio, by name; others are 1.9 to 2.1.

    ``used`` sets the share of the CPU that others use.
    """
    (pytester.path / "told.json").write_text(json.dumps(ratios))


def run(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    """Run the suite at batch sizes 1 and 10, which have five ratios."""
    return pytester.runpytest_subprocess(*SUITE, *SIZES, *options)


def commit(pytester: pytest.Pytester) -> None:
    """Write a baseline file of this machine in which all ratios are 2."""
    baseline = RatiosBaseline(Provenance.here())
    for pair in pairs_of("events", (1, 10)):
        baseline.replace(pair.name, Ratio(1.9, 2.0, 2.1), {})
        for size in pair.batch_sizes:
            baseline.set_records(pair, size, 10 * size)
    baseline.write(pytester.path / "ratios.json")


def read(pytester: pytest.Pytester) -> dict[str, Any]:
    """Return the content of the baseline file."""
    content: dict[str, Any] = json.loads((pytester.path / "ratios.json").read_text())
    return content


def write(pytester: pytest.Pytester, content: dict[str, Any]) -> None:
    """Replace the content of the baseline file."""
    (pytester.path / "ratios.json").write_text(json.dumps(content))


def test_a_missing_file_is_a_usage_error(pytester: pytest.Pytester) -> None:
    """The error comes once, before any test runs."""
    result = run(pytester)

    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(
        ["usage error: --pipeline-baseline ratios.json: there is no such file; *"]
    )


def test_a_file_of_counts_is_refused(pytester: pytest.Pytester) -> None:
    """A baseline file of the other suite is refused, and not overwritten."""
    write(pytester, {"counts": {}})

    result = run(pytester, UPDATE)

    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["usage error: *: * unknown field `counts`*"])
    assert read(pytester) == {"counts": {}}


def test_a_new_file_passes_until_a_ratio_is_worse(pytester: pytest.Pytester) -> None:
    """A cost that rises or a speedup that falls fails, with both intervals."""
    result = run(pytester, UPDATE)
    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(["written: ratios.json; *"])
    written = read(pytester)
    assert written["ratios"][COST] == {"low": 1.9, "value": 1.9, "high": 2.1}
    assert written["records"] == {
        "events at batch size 1": 10,
        "events at batch size 10": 100,
    }
    assert written["records_per_s"][COST] == {"split": 1000.0}

    result = run(pytester)
    result.assert_outcomes(passed=6)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines([f"{SPEEDUP}: 1.9 (1.9 to 2.1), baseline 1.9 *"])

    tell(pytester, {COST: (3.0, 3.1), SPEEDUP: (1.1, 1.2)})
    result = run(pytester)
    result.assert_outcomes(passed=4, failed=2)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            f"{SPEEDUP}: 1.1 (1.1 to 1.2), baseline 1.9 (1.9 to 2.1); *: worse",
            f"{COST}: 3 (3 to 3.1), baseline 1.9 (1.9 to 2.1); *: worse",
            "if this is meant: --pipeline-update-baseline, and commit ratios.json",
        ]
    )
    assert read(pytester) == written


def test_an_inconclusive_ratio_is_skipped_with_exit_code_6(
    pytester: pytest.Pytester,
) -> None:
    """The exit code is 6, as that of the gate, unless a test fails."""
    commit(pytester)

    tell(pytester, {COST: (1.9, 4.0)})
    result = run(pytester)
    result.assert_outcomes(passed=5, skipped=1)
    assert result.ret == 6
    result.stdout.fnmatch_lines([f"SKIPPED*{COST}: 1.9 (1.9 to 4), *: inconclusive"])

    tell(pytester, {COST: (1.9, 4.0), SPEEDUP: (1.1, 1.2)})
    assert run(pytester).ret == pytest.ExitCode.TESTS_FAILED


def test_an_improved_ratio_passes_and_is_reported(pytester: pytest.Pytester) -> None:
    """The summary asks for an update of the file."""
    commit(pytester)

    tell(pytester, {SPEEDUP: (5.0, 5.1)})
    result = run(pytester)

    result.assert_outcomes(passed=6)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        [
            f"{SPEEDUP}: 5 (5 to 5.1), *: improved",
            "improved: 1; keep it with --pipeline-update-baseline, and commit *",
        ]
    )


def test_missing_and_new_ratios_fail(pytester: pytest.Pytester) -> None:
    """Each fails with a line, until the file is updated."""
    commit(pytester)
    content = read(pytester)
    del content["ratios"][COST]
    gone = "events: speedup of batch size 7 over 1"
    content["ratios"][gone] = {"low": 1, "value": 1, "high": 1}
    write(pytester, content)

    result = run(pytester)

    result.assert_outcomes(passed=4, failed=2)
    result.stdout.fnmatch_lines(
        [f"{COST}: the baseline has no such ratio", f"{gone}: nothing measures this"]
    )
    run(pytester, UPDATE)
    run(pytester).assert_outcomes(passed=6)


def test_on_another_machine_all_are_skipped_with_exit_code_5(
    pytester: pytest.Pytester,
) -> None:
    """The exit code is that of a gate that compared nothing. An update starts anew."""
    commit(pytester)
    content = read(pytester)
    cores = content["made_on"]["machine"]["cores"]
    content["made_on"]["machine"]["cores"] = cores + 1
    content["ratios"]["old"] = {"low": 1, "value": 1, "high": 1}
    write(pytester, content)

    result = run(pytester, "-k", "a_ratio")

    result.assert_outcomes(skipped=5, deselected=1)
    assert result.ret == 5
    result.stdout.fnmatch_lines(
        [f"SKIPPED*ratios.json is of another machine: cores {cores + 1}, here {cores}"]
    )
    run(pytester, UPDATE, "-k", "a_ratio")
    assert "old" not in read(pytester)["ratios"]
    assert run(pytester).ret == pytest.ExitCode.OK


def test_a_crowded_machine_is_reported(pytester: pytest.Pytester) -> None:
    """Ratios are skipped, and an update asks to be repeated on an idle machine."""
    tell(pytester, {"used": 0.9})

    result = run(pytester, UPDATE)
    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(
        ["others used 90% of the CPU: write * on an idle machine"]
    )

    result = run(pytester)
    result.assert_outcomes(passed=1, skipped=5)
    assert result.ret == 6


def test_workers_of_xdist_measure_nothing(pytester: pytest.Pytester) -> None:
    """Running under xdist is a usage error, since workers would disturb each other."""
    result = run(pytester, "-n", "1")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*beside other workers of xdist says nothing*"])


def test_an_input_with_too_few_records_is_reported(
    pytester: pytest.Pytester,
) -> None:
    """So is an input with fewer records than the runs of the file have."""
    (pytester.path / "data").write_text(EVENT * 7)

    result = run(pytester, UPDATE)
    result.assert_outcomes(passed=3, skipped=3)
    result.stdout.fnmatch_lines(["SKIPPED*batch size 10: * has only 7 records"])

    result = run(pytester)
    result.assert_outcomes(passed=1, failed=2, skipped=3)
    result.stdout.fnmatch_lines(
        ["*: the baseline is of runs of 10 records, and the input has only 7"]
    )


def test_every_kind_of_runs_is_run_and_checked(pytester: pytest.Pytester) -> None:
    """The floor in processes has the messages of the split; the monolith has none."""
    pytester.makepyfile(told=RUN_ONCE)

    run(pytester, UPDATE).assert_outcomes(passed=6)

    writes = read(pytester)["records_per_s"]
    assert writes[SPEEDUP].keys() == {"split at batch size 1", "split at batch size 10"}
    for size in (1, 10):
        at, split = (
            f"events at batch size {size}: split to",
            f"split at batch size {size}",
        )
        floor = writes[f"{at} its floor"]
        assert floor["floor"] == floor[split] > 0
        assert writes[f"{at} the monolith"]["monolith"] == 0


def test_the_project_s_own_file_has_every_ratio() -> None:
    """It has those of the default batch sizes."""
    content = json.loads((ROOT / "benchmarks" / "ratios.json").read_text())

    names = {pair.name for pair in pairs_of(WORKLOAD, BATCH_SIZES)}
    assert content["ratios"].keys() == content["records_per_s"].keys() == names
