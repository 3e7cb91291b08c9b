"""The stages in other languages are built where there is a toolchain."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.commands import SUCCESS, USAGE, pipeline


@pytest.fixture(autouse=True)
def no_toolchain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide every toolchain, and everything that was built before."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_missing_toolchain_is_one_line() -> None:
    """It names the language and the program."""
    done = pipeline("build-stages", "go")

    assert done.returncode == USAGE
    assert done.stderr.decode() == (
        "pipeline: the stages in go can't be built: go is not on PATH\n"
    )


def test_languages_without_a_toolchain_are_skipped_by_name_if_asked() -> None:
    """A skip says why."""
    done = pipeline("build-stages", "--available")

    assert done.returncode == SUCCESS
    assert done.stdout.decode().splitlines() == [
        "go: skipped, go is not on PATH",
        "rust: skipped, cargo is not on PATH",
        "rust-debug: skipped, cargo is not on PATH",
        "typescript: skipped, npm is not on PATH",
    ]


@pytest.mark.parametrize(
    ("stages", "why"),
    [
        ("go", "the stages in go are not built; run: pipeline build-stages go"),
        ("parse=cobol", "language 'cobol': there is python, go, rust"),
    ],
)
@pytest.mark.parametrize("command", ["run", "tune"])
def test_stages_that_can_not_be_started_are_wrong_usage(
    tmp_path: Path, command: str, stages: str, why: str
) -> None:
    """The earlier result is kept."""
    source, output = tmp_path / "in.ndjson", tmp_path / "out"
    source.write_text("{}\n")
    output.write_text("earlier")
    given = ("--output", output) if command == "run" else ()

    done = pipeline(command, source, *given, "--stages", stages)

    assert done.returncode == USAGE
    assert why in done.stderr.decode()
    assert output.read_text() == "earlier"


def test_the_monolith_has_no_stages_in_other_languages(tmp_path: Path) -> None:
    """It is refused, not ignored."""
    given = ("--output", tmp_path / "out", "--engine", "monolith")

    done = pipeline("run", tmp_path / "in", *given, "--stages", "parse=go")

    assert done.returncode == USAGE
    assert done.stderr == b"pipeline: --stages: engine monolith has no servers\n"
