"""The invariance suite, run by one command outside this project."""

from __future__ import annotations

import sys

import pytest

from pipeline.workloads.events import EVENTS
from pytest_pipeline.invariance import properties_of

SUITE = ("--pyargs", "pytest_pipeline.suite.invariance", "--pipeline-examples", "10")

MINE = """
from dataclasses import replace

from pipeline.stages import Output, stage
from pipeline.v1.events_pb2 import Events
from pipeline.v1.lines_pb2 import Lines
from pipeline.workloads.events import EVENTS
from pipeline.workloads.events.parse import parse as parse_events


def parse(lines: Lines) -> Output[Events]:
    output = parse_events(lines)
    if output.records > 1:
        output.message.user[1] = "somebody"
    return output


MINE = replace(EVENTS, transforms=(stage(parse), *EVENTS.transforms[1:]))
"""


@pytest.fixture(autouse=True)
def _mine(pytester: pytest.Pytester) -> None:
    """Write a user's workload and an input for it."""
    pytester.makepyfile(mine=MINE)
    (pytester.path / "data").write_bytes(
        b'{"ts":"2026-01-01T00:00:00Z","type":"click","user":"u","value":10}\n' * 3
    )


def test_each_property_of_a_workload_is_a_test(pytester: pytest.Pytester) -> None:
    """The events workload needs no options."""
    result = pytester.runpytest_subprocess(*SUITE)

    result.assert_outcomes(passed=len(properties_of(EVENTS)))
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "*pipeline: what does not depend on batches*",
            "events, partition-parse: holds for 10 streams of *, and 200 sample rec*",
        ]
    )


def test_a_violation_fails_one_test_and_prints_a_command(
    pytester: pytest.Pytester,
) -> None:
    """The other properties of the workload pass."""
    result = pytester.runpytest_subprocess(
        *SUITE, "--pipeline-workload", "mine:MINE", "--pipeline-data", "data"
    )

    result.assert_outcomes(failed=1, passed=len(properties_of(EVENTS)) - 1)
    result.stdout.fnmatch_lines(
        [
            "workload mine:MINE, stage parse: columns must be the same",
            "the smallest stream, of 2 records:",
            "to see it again:",
            "  python -m pytest_pipeline.invariance mine:MINE --property partition *",
        ]
    )
    assert result.stdout.str().count("to see it again:") == 1


def test_the_command_and_the_suite_share_what_failed(
    pytester: pytest.Pytester,
) -> None:
    """What the one found, the other tries first."""
    mine = ("--pipeline-workload", "mine:MINE", "--pipeline-data", "data")
    pytester.runpytest_subprocess(*SUITE, *mine, "-k", "partition-parse")

    result = pytester.run(
        sys.executable,
        *("-m", "pytest_pipeline.invariance", "mine:MINE", "--data", "data"),
        *("--property", "partition", "--stage", "parse"),
    )

    assert result.ret == 1
    assert result.stderr.lines[-1] == (
        "An earlier run found this, so it was tried first."
    )


def test_an_engine_that_is_asked_for_is_a_property(
    pytester: pytest.Pytester,
) -> None:
    """Its workers find a workload of the user, and one cluster serves all streams."""
    pytest.importorskip("distributed", reason="the extra dask is not installed")
    mine = ("--pipeline-workload", "mine:MINE", "--pipeline-data", "data")
    pytester.makepyfile(mine="from pipeline.workloads.events import EVENTS as MINE")

    result = pytester.runpytest_subprocess(
        *SUITE, *mine, "--pipeline-engines", "dask", "-k", "dask or distributed"
    )

    result.assert_outcomes(passed=2, deselected=len(properties_of(EVENTS)) - 1)
    result.stdout.fnmatch_lines(
        ["mine:MINE, distributed: holds for *", "mine:MINE, dask: holds for *"]
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--pipeline-engines", "ours"), "--pipeline-engines ours: there is dask"),
        (("--pipeline-workload", "mine:MINE"), "workload mine:MINE reads an input, *"),
        (("--pipeline-workload", "mine:YOURS"), "workload 'mine:YOURS' can't be *"),
        (("--pipeline-data", "missing"), "--pipeline-data missing: no such file *"),
        (
            ("--pipeline-workload", "work-items", "--pipeline-data", "data"),
            "workload work-items makes its own records",
        ),
    ],
)
def test_wrong_usage_is_one_line_before_any_test(
    pytester: pytest.Pytester, options: tuple[str, ...], message: str
) -> None:
    """The exit code is 2."""
    result = pytester.runpytest_subprocess(*SUITE, *options)

    assert result.ret == 2
    result.stdout.fnmatch_lines([f"usage error: {message}"])
