"""The gate's options, and the arguments that its sides get."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_pipeline.gate.arguments import in_a_side, without_gate_options
from pytest_pipeline.gate.options import AGAINST, MERGE_BASE, PREPARED, GateSettings

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
        ("main", ["a", PREPARED, "x", "y", "b", AGAINST, "main"], ["a", "b"]),
    ],
)
def test_the_sides_get_no_options_of_the_gate(
    against: str, given: list[str], chosen: list[str]
) -> None:
    """Each is removed with its values."""
    assert without_gate_options(given, against) == chosen


@pytest.mark.parametrize(
    ("given", "chosen"),
    [
        ("/top/below/a.py::b", "a.py::b"),
        ("/top/below/a.py::b[/top/x]", "a.py::b[/top/x]"),
        ("/top/a.py", "../a.py"),
        ("/top", ".."),
        ("/else/a.py", "/else/a.py"),
        ("/topping/a.py", "/topping/a.py"),
        ("--ignore=/top/below/a.py", "--ignore=a.py"),
        ("--ignore-glob=/top/below/*.py", "--ignore-glob=*.py"),
        ("--deselect=/top/below/a.py::b", "--deselect=a.py::b"),
        ("--rootdir=/top", "--rootdir=.."),
        ("--confcutdir=/top/below", "--confcutdir=."),
        ("-c/top/pytest.ini", "-c../pytest.ini"),
        ("cache_dir=/top/below/cache", "cache_dir=cache"),
        ("@/top/below/arguments", "@arguments"),
        ("--junitxml=/else/x.xml", "--junitxml=/else/x.xml"),
        ("../a.py", "../a.py"),
        ("-k", "-k"),
        ("not /top/below", "not /top/below"),
    ],
)
def test_paths_lead_into_each_side(given: str, chosen: str) -> None:
    """In every spelling of an option; other words stay as they are."""
    assert in_a_side([given], Path("/top"), Path("/top/below")) == [chosen]


def test_a_relative_path_out_of_the_repository_stays_where_it_is(
    tmp_path: Path,
) -> None:
    """It is no part of a revision, so both sides read the same file."""
    top = tmp_path / "top"
    top.mkdir()
    (tmp_path / "shared.ini").touch()
    (top / "link.py").symlink_to(tmp_path / "shared.ini")

    assert in_a_side(["-c", "../shared.ini", f"{top}/link.py"], top, top) == [
        *("-c", str(tmp_path / "shared.ini")),
        # A link in the repository is part of each revision.
        "link.py",
    ]
