"""Stages in other languages are built once, and found by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline import languages
from pipeline.errors import StageError, UsageError
from pipeline.languages import LANGUAGES, Language, programs_of
from pipeline.workloads import workload_named

EVENTS = workload_named("events")
WORK_ITEMS = workload_named("work-items")

#: A language whose toolchain is a shell.
SHELL = Language(
    name="shell",
    folder="shell",
    toolchain=("sh", "-c", "exit 0"),
    steps=(("sh", "-c", "cat ../../proto/a.proto source > program; echo note > rest"),),
    artifacts=("program",),
    words=("sh", "program"),
)


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the sources of a language, and a cache folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(languages, "_sources", lambda: tmp_path)
    for path, text in {
        "proto/a.proto": "proto\n",
        "stages/shell/source": "v1\n",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text)
    monkeypatch.setitem(LANGUAGES, "shell", SHELL)
    return tmp_path / "stages" / "shell"


@pytest.mark.usefixtures("sources")
def test_a_program_is_built_from_its_sources_and_the_protos() -> None:
    """Only the artifacts are kept."""
    assert SHELL.build()

    *words, program = SHELL.program()
    assert words == ["sh"]
    assert Path(program).read_text() == "proto\nv1\n"
    assert [path.name for path in Path(program).parent.iterdir()] == ["program"]


@pytest.mark.usefixtures("sources")
def test_a_program_is_built_once() -> None:
    """The second call runs no command."""
    steps: list[str] = []

    assert SHELL.build(steps.append)
    assert not SHELL.build(steps.append)
    assert len(steps) == 1


@pytest.mark.usefixtures("sources")
def test_two_builds_at_once_are_one_program() -> None:
    """The one that ends last keeps what the other has built."""

    def build_too(_: str) -> None:
        SHELL.build()

    assert SHELL.build(build_too)

    assert Path(SHELL.program()[-1]).read_text() == "proto\nv1\n"


def test_changed_sources_are_built_again(sources: Path) -> None:
    """An outdated program is refused, and removed by the next build."""
    SHELL.build()
    outdated = Path(SHELL.program()[-1])
    (sources / "source").write_text("v2\n")

    with pytest.raises(
        UsageError, match=r"not built; run: pipeline build-stages shell"
    ):
        SHELL.program()
    SHELL.build()

    assert Path(SHELL.program()[-1]).read_text() == "proto\nv2\n"
    assert not outdated.exists()


@pytest.mark.usefixtures("sources")
def test_a_build_keeps_those_of_languages_with_a_longer_name() -> None:
    """As rust keeps rust-debug."""
    other = replace(SHELL, name="shell-debug")
    other.build()

    SHELL.build()

    assert other.program()


def test_what_toolchains_make_inside_the_sources_changes_nothing(sources: Path) -> None:
    """A developer builds there too."""
    SHELL.build()
    (sources / "target").mkdir()
    (sources / "target" / "made").write_text("made")

    assert not SHELL.build()


@pytest.mark.usefixtures("sources")
def test_a_failing_build_names_its_step_and_its_log() -> None:
    """Nothing is left but the log."""
    failing = replace(SHELL, steps=(("sh", "-c", "echo why; exit 3"),))

    with pytest.raises(StageError, match="ended with exit code 3; see ") as caught:
        failing.build()

    log = Path(str(caught.value).rpartition("see ")[2])
    assert log.read_text() == "why\n"
    assert list(log.parent.iterdir()) == [log]


@pytest.mark.usefixtures("sources")
@pytest.mark.parametrize(
    ("toolchain", "why"),
    [(("no-such-tool",), "no-such-tool is not on PATH"), (("false",), "exit status 1")],
)
def test_a_missing_toolchain_is_named(toolchain: tuple[str, ...], why: str) -> None:
    """It is a usage error, since nothing was started."""
    lacking = replace(SHELL, toolchain=toolchain)

    with pytest.raises(UsageError, match=f"stages in shell can't be built: .*{why}"):
        lacking.build()


@pytest.mark.usefixtures("sources")
def test_a_language_serves_every_stage_that_it_has() -> None:
    """Python keeps the ingest of work items."""
    SHELL.build()
    program = SHELL.program()

    assert programs_of("shell", EVENTS) == dict.fromkeys(EVENTS.stage_names, program)
    assert programs_of("shell", WORK_ITEMS) == dict.fromkeys(
        WORK_ITEMS.stage_names[1:], program
    )


@pytest.mark.usefixtures("sources")
def test_stages_can_be_in_different_languages() -> None:
    """Those not named, or named as Python's, are in Python."""
    SHELL.build()

    chosen = programs_of("parse=shell,rules=python", EVENTS)

    assert chosen == {"parse": SHELL.program()}


def test_python_is_a_language() -> None:
    """It needs no program."""
    assert programs_of("python", EVENTS) == {}
    assert programs_of("python", workload_named("mixed")) == {}


@pytest.mark.usefixtures("sources")
@pytest.mark.parametrize(
    ("text", "workload", "why"),
    [
        ("cobol", "events", "language 'cobol': there is python, go, rust"),
        ("parse=cobol", "events", "language 'cobol'"),
        ("pares=go", "events", "stage 'pares': workload events has ingest, parse"),
        ("parse=go,parse=rust", "events", "stage parse: is given two languages"),
        ("parse=", "events", "'parse=': must be LANGUAGE, or STAGE=LANGUAGE"),
        ("go,rust", "events", "language 'go,rust'"),
        ("shell", "mixed", "shell has no stages of workload mixed"),
        ("cobol", "mixed", "language 'cobol'"),
        ("ingest=shell", "work-items", "shell has no ingest of workload work-items"),
        ("parse=shell", "events", "stages in shell are not built"),
    ],
)
def test_a_wrong_choice_is_refused(text: str, workload: str, why: str) -> None:
    """The message names what is wrong."""
    with pytest.raises(UsageError, match=why):
        programs_of(text, workload_named(workload))
