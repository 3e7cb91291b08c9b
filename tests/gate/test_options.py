"""The gate's options, and the arguments that its sides get."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_pipeline.gate.gating import chosen_arguments
from pytest_pipeline.gate.options import AGAINST, MERGE_BASE, GateSettings

PAGE = Path(__file__).parent.parent.parent / "docs" / "how-to" / "gate.md"


def test_every_option_is_documented() -> None:
    """On the page about the gate."""
    for name in GateSettings.__dataclass_fields__:
        assert f"{{option}}`pytest --pipeline-gate-{name}`" in PAGE.read_text()


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--pipeline-gate-threshold=0", "must be a share, more than 0"),
        ("--pipeline-gate-threshold=some", "must be a share, more than 0"),
        ("--pipeline-gate-budget=-1", "must be seconds, more than 0"),
        ("--pipeline-gate-install= ", "must not be empty"),
        ("--pipeline-gate-summary=no/gate", "no/gate.md: no such file"),
    ],
)
def test_an_invalid_option_is_named(
    pytester: pytest.Pytester, option: str, said: str
) -> None:
    """The exit code is 4, as pytest's for wrong usage."""
    result = pytester.runpytest_subprocess(AGAINST, option)

    assert result.ret == 4
    line = next(line for line in result.errlines if said in line)
    assert option.partition("=")[0] in line


def test_an_invalid_ini_key_is_named(pytester: pytest.Pytester) -> None:
    """As an ini key."""
    pytester.makeini("[pytest]\npipeline_gate_threshold = none\n")

    result = pytester.runpytest_subprocess(AGAINST)

    assert result.ret == 4
    result.stderr.fnmatch_lines(["*ini key pipeline_gate_threshold none: must be*"])


def test_without_a_repository_the_gate_is_refused(pytester: pytest.Pytester) -> None:
    """In one line; no tests are run instead."""
    pytester.makepyfile("def test_it(benchmark): benchmark(int)")

    result = pytester.runpytest_subprocess(AGAINST)

    assert result.ret == 4
    assert len(result.errlines) == 1
    result.stderr.fnmatch_lines(["gate: *is in no git repository; run the gate in one"])
    result.stdout.no_fnmatch_line("*passed*")


def test_without_the_option_tests_run_as_usual(pytester: pytest.Pytester) -> None:
    """The marker is registered."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.pipeline_gate(threshold=0.1)
        def test_it(): pass
        """
    )

    pytester.runpytest_subprocess("--strict-markers").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("against", "given", "chosen"),
    [
        (MERGE_BASE, ["a", AGAINST], ["a"]),
        (MERGE_BASE, ["a", AGAINST, "", "-x"], ["a", "-x"]),
        ("main", [AGAINST, "main", "a", "-k", "b"], ["a", "-k", "b"]),
        ("main", ["a", f"{AGAINST}=main"], ["a"]),
        ("main", ["--pipeline-gate-budget", "5", "a", AGAINST, "main"], ["a"]),
        ("main", ["--pipeline-events=5", AGAINST, "main"], ["--pipeline-events=5"]),
        ("main", ["/top/below/a.py::b", AGAINST, "main"], ["a.py::b"]),
        ("main", ["/top/a.py", AGAINST, "main"], ["../a.py"]),
        ("main", ["/else/a.py", AGAINST, "main"], ["/else/a.py"]),
    ],
)
def test_the_sides_get_the_arguments_that_select_benchmarks(
    against: str, given: list[str], chosen: list[str]
) -> None:
    """Without the gate's options, and with paths relative to the folder."""
    settings = GateSettings(against)

    assert chosen == chosen_arguments(settings, given, Path("/top"), Path("/top/below"))
