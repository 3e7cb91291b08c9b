"""The conformance suite, run by one command outside this project."""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_pipeline.conformance.catalogue import CHECKS as ALL_CHECKS
from pytest_pipeline.conformance.catalogue import kind_of
from pytest_pipeline.fixtures import StageServerFactory

ROOT = Path(__file__).parent.parent.parent
SUITE = ("--pyargs", "pytest_pipeline.suite.conformance")

CHECKS = ALL_CHECKS["transform"]

#: The command that serves a stage of this package.
SERVE = f"{sys.executable} -P -m pipeline serve"
OURS = f"{SERVE} parse --bind 127.0.0.1:0"

DECLARED = """
[stage.parse]
workloads = ["events"]
reflection = true
timing = true
max_message_bytes = 0
opt_in = ["timing.plausible"]
"""

Check = Callable[..., pytest.RunResult]


def program(name: str) -> str:
    """Return the command of a mutant, or of the honest stage for "honest"."""
    module = "tests.conformance.mutants.program"
    return f"env PYTHONPATH={ROOT} {sys.executable} -m {module} {name}"


@pytest.fixture
def check(pytester: pytest.Pytester) -> Check:
    """Return a function that runs the suite on a stage, in an empty folder."""

    def check(stage: str, *options: str, declared: str = "") -> pytest.RunResult:
        arguments = [*SUITE, "--pipeline-stage", f"parse={stage}", *options]
        if declared:
            (pytester.path / "declared.toml").write_text(declared)
            arguments += ["--pipeline-declarations", "declared.toml"]
        return pytester.runpytest_subprocess(*arguments)

    return check


def test_the_parse_stage_of_this_package_passes_every_check(
    check: Check, pytester: pytest.Pytester
) -> None:
    """Only the limit is skipped, and the report and JUnit file are written."""
    result = check(
        OURS,
        "--pipeline-conformance-report",
        "verdicts",
        "--junitxml",
        "junit.xml",
        declared=DECLARED,
    )

    assert result.ret == 0
    passed = len(CHECKS) - 1
    result.assert_outcomes(passed=passed, skipped=1)
    result.stdout.fnmatch_lines([f"stage parse: {passed} passed, 1 skipped"])
    stage = json.loads((pytester.path / "verdicts.json").read_text())["stages"]["parse"]
    assert stage["counts"] == {"passed": passed, "skipped": 1}
    assert [one["check"] for one in stage["checks"]] == list(CHECKS)
    assert {
        one["check"]: one["message"]
        for one in stage["checks"]
        if one["status"] == "skipped"
    } == {"limit.over": "declared: it takes messages of any size"}
    page = (pytester.path / "verdicts.md").read_text()
    assert all(f"| {check_id} | events | " in page for check_id in CHECKS)
    suite = ET.parse(pytester.path / "junit.xml").getroot()[0]  # noqa: S314 - written by this run
    assert (suite.get("tests"), suite.get("failures")) == (str(len(CHECKS)), "0")


#: Checks of ingest that a source which makes its records can't be given.
OF_FILES = {
    "source.lines",
    "source.long-lines",
    "source.missing",
    "source.confinement",
    "source.paths",
    "source.truncated",
    "source.linger",
    "source.no-linger",
    "source.slow-reader",
    "source.cancel-closes",
}


@pytest.mark.parametrize(
    ("workload", "skipped"),
    [("events", set()), ("work-items", OF_FILES), ("mixed", OF_FILES)],
)
def test_ingest_and_sink_of_this_package_pass_every_check(
    pytester: pytest.Pytester, workload: str, skipped: set[str]
) -> None:
    """A source that reads no lines of a file is skipped where a check needs one."""
    (pytester.path / "declared.toml").write_text(
        "[stage.ingest]\nreflection = true\n[stage.sink]\nreflection = true\n"
    )
    serve = f"{SERVE} {{}} --workload {workload} --folder {{{{folder}}}}"

    result = pytester.runpytest_subprocess(
        *SUITE,
        *("--pipeline-workload", workload),
        *("--pipeline-stage", f"ingest={serve.format('ingest')}"),
        *("--pipeline-stage", f"sink={serve.format('sink')}"),
        *("--pipeline-declarations", "declared.toml"),
        *("--pipeline-conformance-report", "verdicts"),
    )

    assert result.ret == 0
    stages = json.loads((pytester.path / "verdicts.json").read_text())["stages"]
    for stage, not_passed in (("ingest", skipped), ("sink", set())):
        verdicts = {one["check"]: one["status"] for one in stages[stage]["checks"]}
        assert verdicts == {
            check_id: "skipped" if check_id in not_passed else "passed"
            for check_id in ALL_CHECKS[kind_of(stage)]
        }
        assert all(one["required"] for one in stages[stage]["checks"])


def test_a_sink_that_was_told_no_folder_is_not_asked_to_write(
    pytester: pytest.Pytester,
) -> None:
    """Each check that needs one is skipped, with what to do."""
    result = pytester.runpytest_subprocess(
        *SUITE, "-rs", "--pipeline-stage", f"sink={SERVE} sink", "-k", "start or order"
    )

    result.assert_outcomes(passed=2, skipped=2, deselected=len(ALL_CHECKS["sink"]) - 4)
    result.stdout.fnmatch_lines(
        [
            "SKIPPED * it was told no folder; put {folder} into its command, or *",
        ]
    )


def test_a_running_sink_writes_into_the_folder_that_it_declares(
    pytester: pytest.Pytester, stage_server: StageServerFactory
) -> None:
    """It is found by its address, and shares a folder with the checks."""
    served = pytester.path / "served"
    served.mkdir()
    server = stage_server([*SERVE.split(), "sink", "--folder", str(served)])
    (pytester.path / "declared.toml").write_text(f'[stage.sink]\nfolder = "{served}"\n')

    result = pytester.runpytest_subprocess(
        *SUITE,
        *("--pipeline-stage", f"sink={server.address}"),
        *("--pipeline-declarations", "declared.toml"),
        *("-k", "order or confinement or no-draft"),
    )

    result.assert_outcomes(passed=3, deselected=len(ALL_CHECKS["sink"]) - 3)
    assert list(served.iterdir()) == []


def test_a_running_server_is_checked_by_its_address(
    check: Check, stage_server: StageServerFactory
) -> None:
    """Checks that must start or stop it are skipped with a reason, and it runs on."""
    server = stage_server("parse", servers="subprocess", transport="tcp")

    result = check(server.address, "-rs", "-k", "start or stop or events-reply")

    result.assert_outcomes(passed=10, skipped=3, deselected=len(CHECKS) - 13)
    result.stdout.fnmatch_lines(
        [
            "stage parse: 10 passed, 3 skipped",
            "SKIPPED * it was given by its address, so it is not ours to *",
            "SKIPPED * reflection is not declared",
        ]
    )
    assert result.ret == 0
    assert server.health == "SERVING"


def test_xdist_workers_share_one_report(
    check: Check, pytester: pytest.Pytester
) -> None:
    """The report has the checks of all workers."""
    result = check(
        OURS,
        "-n",
        "2",
        "-k",
        "events-reply",
        "--pipeline-conformance-report",
        "verdicts",
    )

    result.assert_outcomes(passed=9)
    result.stdout.fnmatch_lines(["stage parse: 9 passed"])
    verdicts = json.loads((pytester.path / "verdicts.json").read_text())
    assert verdicts["stages"]["parse"]["counts"] == {"passed": 9}


def test_a_failure_shows_violation_reason_and_last_batches(
    check: Check,
) -> None:
    """The run fails."""
    result = check(program("cuts-what-is-open"), "-k", "stop")

    assert result.ret == 1
    result.assert_outcomes(failed=1, deselected=len(CHECKS) - 1)
    result.stdout.fnmatch_lines(
        [
            "stage parse of events: asked to stop with a stream open, it answered *",
            "stop.drain: A server is replaced in mid-run, *",
            "*→ batch 0: 4 records, * bytes",
            "stage parse: 1 failed",
        ]
    )


KNOWN = '[stage.parse.known_failures]\n"{}" = "issue 12"\n'


def test_a_known_failure_does_not_fail_the_run(check: Check) -> None:
    """It does not count as passed either."""
    known = KNOWN.format("stop.drain")

    result = check(program("cuts-what-is-open"), "-k", "stop", declared=known)

    assert result.ret == 0
    result.assert_outcomes(xfailed=1, deselected=len(CHECKS) - 1)
    result.stdout.fnmatch_lines(["stage parse: 1 failed as known"])


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ("stop.drain", "stale: it passes now, so take it out * (issue 12)"),
        ("start.reflection", "stale: a known failure, but skipped: *not declared*"),
    ],
)
def test_a_known_failure_that_does_not_fail_is_stale(
    check: Check, known: str, message: str
) -> None:
    """The run fails if it passes, and if it is skipped."""
    declared = KNOWN.format(known)

    result = check(program("honest"), "-k", known, declared=declared)

    assert result.ret == 1
    result.stdout.fnmatch_lines([f"*{message}*"])


def test_a_check_added_later_fails_only_stages_that_opted_in(check: Check) -> None:
    """For other stages the failure is reported, and the run passes."""
    declared = "[stage.parse]\ntiming = true\n"
    opted_in = declared + 'opt_in = ["timing.plausible"]\n'

    others = check(program("honest"), "-rx", "-k", "timing", declared=declared)
    those = check(program("honest"), "-k", "timing", declared=opted_in)

    assert (others.ret, those.ret) == (0, 1)
    others.stdout.fnmatch_lines(
        [
            "stage parse: 1 failed, not required",
            "XFAIL * not required of this stage: the reply to batch 0 tells no time",
        ]
    )


def test_a_run_that_checks_nothing_fails(check: Check) -> None:
    """Skips alone are not enough, each with a good reason."""
    declared = '[stage.parse]\nworkloads = ["work-items"]\n'

    result = check(program("honest"), "-k", "events-reply", "-rs", declared=declared)

    assert result.ret == 1
    result.assert_outcomes(skipped=9, deselected=len(CHECKS) - 9)
    result.stdout.fnmatch_lines(
        [
            "stage parse: nothing was checked, and a skip is no pass",
            "SKIPPED * declared: it serves work-items, not events",
        ]
    )


def test_a_stage_that_does_not_start_fails_every_check(check: Check) -> None:
    """Each failure has the reason, and the stage is started once only."""
    result = check("sh -c 'echo tried >> tries; exit 3'", "-k", "events-reply")

    assert result.ret == 1
    result.assert_outcomes(failed=9, deselected=len(CHECKS) - 9)
    result.stdout.fnmatch_lines(["*stage parse did not start: ended with exit code 3*"])
    assert Path("tries").read_text() == "tried\n"


def test_an_exception_in_a_check_is_an_error_and_not_a_failure(
    check: Check, pytester: pytest.Pytester
) -> None:
    """JUnit's XML counts it as an error too."""
    pytester.makeconftest(
        "from pytest_pipeline.conformance.check import Check\n"
        "def run(self, stage): raise MemoryError('no room')\n"
        "Check.run = run\n"
    )

    result = check(program("honest"), "-k", "start.health", "--junitxml", "junit.xml")

    assert result.ret == 1
    result.assert_outcomes(errors=1, deselected=len(CHECKS) - 1)
    result.stdout.fnmatch_lines(
        ["stage parse: 1 not made, by a fault of the checking", "*nothing was checked*"]
    )
    suite = ET.parse(pytester.path / "junit.xml").getroot()[0]  # noqa: S314 - written by this run
    assert (suite.get("errors"), suite.get("failures")) == ("1", "0")


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        ("missing/verdicts", "can't write missing/verdicts.json: no such file *"),
        ("taken", "can't write taken.md: it is a folder"),
    ],
)
def test_a_report_that_can_not_be_written_fails_the_run_in_one_line(
    check: Check, pytester: pytest.Pytester, report: str, reason: str
) -> None:
    """The counts are printed, and pytest does not crash."""
    (pytester.path / "taken.md").mkdir()

    result = check(
        program("honest"),
        "-k",
        "start.health",
        "--pipeline-conformance-report",
        report,
    )

    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "stage parse: 1 passed",
            f"--pipeline-conformance-report {report}: not written: {reason}",
        ]
    )
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()
    result.stdout.no_fnmatch_line("written:*")


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ("[stage.parse", "*declared.toml: Expected*"),
        ("[parse]", "*declared.toml: parse: there is only [[]stage.NAME]"),
        ("[stage]\nparse = 1", "*stage.parse: must be a table"),
        ("[stage.parse]\nkeeps = true", "*stage.parse.keeps: not known; there is *"),
        (
            "[stage.parse]\nmax_message_bytes = true",
            "*max_message_bytes: must be a number of bytes, 0 for no limit",
        ),
        ("[stage.parse]\nworkloads = []", "*workloads: must be a list of names"),
        (KNOWN.format("stop.drian"), "*known_failures: there is no check 'stop.drian'"),
        (
            '[stage.parse]\nopt_in = ["later"]',
            "*stage.parse.opt_in: there is no check 'later'",
        ),
        (
            '[stage.sink]\nopt_in = ["timing.plausible"]',
            "*stage.sink.opt_in: there is no check 'timing.plausible'",
        ),
        (
            '[stage.sink]\nfolder = "nowhere"',
            "*stage.sink.folder: must be the absolute path of a folder of this machine",
        ),
    ],
)
def test_a_wrong_declaration_is_a_usage_error(
    check: Check, declared: str, message: str
) -> None:
    """One line has the file, the key and what it must be, before a stage starts."""
    result = check("false", declared=declared)

    assert result.ret == 2
    result.stdout.fnmatch_lines([f"usage error: {message}"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "there is no stage to check; give --pipeline-stage *"),
        (
            ("--pipeline-stage", "pares=x:1"),
            "stage 'pares': workload events has ingest, parse, rules, aggregate, sink",
        ),
        (
            ("--pipeline-stage", "parse=x:1", "--pipeline-declarations", "missing"),
            "missing: no such file or directory",
        ),
        (
            ("--pipeline-stage", "parse=x:1", "--pipeline-workload", "nothing"),
            "workload 'nothing': not known; there is *",
        ),
        (
            ("--pipeline-stage", "parse=x:1", "--pipeline-data", "missing"),
            "--pipeline-data missing: no such file or directory",
        ),
    ],
)
def test_wrong_usage_is_one_line_before_any_stage_starts(
    pytester: pytest.Pytester, options: tuple[str, ...], message: str
) -> None:
    """The exit code is 2."""
    result = pytester.runpytest_subprocess(*SUITE, *options)

    assert result.ret == 2
    result.stdout.fnmatch_lines([f"usage error: {message}"])
