"""The shipped suite of ratios, as a user runs it, but for what it measures.

What that comes to is said by a file, since a test is no place to time in.
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

#: Measures nothing: a ratio is what told.json says, or about 2.
TOLD = """
import json
from pathlib import Path

from pytest_pipeline.measure.ratios import measuring
from pytest_pipeline.measure.ratios.baseline import Ratio
from pytest_pipeline.measure.ratios.judging import MeasuredRatio

def measure(bench, pair, records, *, is_open, budget_s):
    assert records.keys() == set(pair.batch_sizes)
    told = json.loads(Path("told.json").read_text())
    low, high = told.get(pair.name, [1.9, 2.1])
    used = told.get("used", 0.0)
    found = MeasuredRatio(Ratio(low, low, high), 1.0, 12, {"split": 1000.0}, used)
    is_open(found)
    return found

measuring.records_for = lambda bench, workload, batch_size: 10 * batch_size
measuring.measure = measure
"""

#: Runs each kind once, and says that all take as long.
RUN_ONCE = """
from pytest_pipeline.measure.ratios import measuring
from pytest_pipeline.measure.ratios.baseline import Ratio
from pytest_pipeline.measure.ratios.judging import MeasuredRatio

def measured(above, below, *, is_open, budget_s):
    per_s = {}
    for runs in (above, below):
        report = runs.run()
        assert report.records.ingested == runs.records
        per_s[runs.name] = float(report.stream_writes)
    return MeasuredRatio(Ratio(1.0, 1.0, 1.0), 1.0, 12, per_s)

measuring.measured = measured
"""


@pytest.fixture(autouse=True)
def _told(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(told=TOLD)
    tell(pytester, {})
    (pytester.path / "data").write_text(EVENT * 200)


def tell(pytester: pytest.Pytester, ratios: Mapping[str, object]) -> None:
    """Say what the ends of the interval of each ratio are to be, where not about 2.

    ``used`` is what others use of the CPU.
    """
    (pytester.path / "told.json").write_text(json.dumps(ratios))


def run(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    """Run the suite at batch sizes 1 and 10, which have five ratios."""
    return pytester.runpytest_subprocess(*SUITE, *SIZES, *options)


def commit(pytester: pytest.Pytester) -> None:
    """Have a file of ratios that are all 2, made here."""
    baseline = RatiosBaseline(Provenance.here())
    for pair in pairs_of("events", (1, 10)):
        baseline.replace(pair.name, Ratio(1.9, 2.0, 2.1), {})
        for size in pair.batch_sizes:
            baseline.size(pair, size, 10 * size)
    baseline.write(pytester.path / "ratios.json")


def read(pytester: pytest.Pytester) -> dict[str, Any]:
    """Return the file of ratios."""
    content: dict[str, Any] = json.loads((pytester.path / "ratios.json").read_text())
    return content


def write(pytester: pytest.Pytester, content: dict[str, Any]) -> None:
    """Replace the file of ratios."""
    (pytester.path / "ratios.json").write_text(json.dumps(content))


def test_a_file_that_is_missing_says_how_to_make_it(pytester: pytest.Pytester) -> None:
    """Before anything runs, and once."""
    result = run(pytester)

    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(
        ["usage error: --pipeline-baseline ratios.json: there is no such file; *"]
    )


def test_a_file_of_counts_is_none_of_ratios(pytester: pytest.Pytester) -> None:
    """One option names both, each for its suite."""
    write(pytester, {"counts": {}})

    result = run(pytester, UPDATE)

    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["usage error: *: * unknown field `counts`*"])
    assert read(pytester) == {"counts": {}}


def test_what_was_measured_passes_until_it_is_worse(pytester: pytest.Pytester) -> None:
    """A cost that has risen or a speedup that has fallen fails, with both intervals."""
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


def test_what_can_t_be_said_is_skipped_and_no_green(pytester: pytest.Pytester) -> None:
    """Exit code 6, as of the gate, unless something else has failed."""
    commit(pytester)

    tell(pytester, {COST: (1.9, 4.0)})
    result = run(pytester)
    result.assert_outcomes(passed=5, skipped=1)
    assert result.ret == 6
    result.stdout.fnmatch_lines([f"SKIPPED*{COST}: 1.9 (1.9 to 4), *: inconclusive"])

    tell(pytester, {COST: (1.9, 4.0), SPEEDUP: (1.1, 1.2)})
    assert run(pytester).ret == pytest.ExitCode.TESTS_FAILED


def test_what_is_improved_passes_and_is_told(pytester: pytest.Pytester) -> None:
    """For the file to be updated, or else it is lost again without a word."""
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


def test_what_is_gone_or_new_fails(pytester: pytest.Pytester) -> None:
    """Each with a line that says so, until the file is updated."""
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


def test_on_another_machine_nothing_is_held_and_nothing_is_green(
    pytester: pytest.Pytester,
) -> None:
    """Exit code 5, as of a gate that has measured nothing; an update begins anew."""
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


def test_a_crowded_machine_is_told_of(pytester: pytest.Pytester) -> None:
    """Whoever writes the file there is asked to write it again."""
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
    """They would measure each other."""
    result = run(pytester, "-n", "1")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*beside other workers of xdist says nothing*"])


def test_an_input_that_is_too_small_for_a_batch_size_is_told(
    pytester: pytest.Pytester,
) -> None:
    """Nor is a run that has fewer records than those of the file held to it."""
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
    """The split and its floor in processes, with as many messages, and the monolith."""
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
    """At the batch sizes that are held to where the options say nothing."""
    content = json.loads((ROOT / "benchmarks" / "ratios.json").read_text())

    names = {pair.name for pair in pairs_of(WORKLOAD, BATCH_SIZES)}
    assert content["ratios"].keys() == content["records_per_s"].keys() == names
