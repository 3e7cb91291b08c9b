"""The command ``pipeline gate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pytest_pipeline.gate import gating
from pytest_pipeline.gate.command import gate
from pytest_pipeline.gate.errors import GateFaultError
from pytest_pipeline.gate.options import MERGE_BASE, GateSettings


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Gates that would have been started; each exits with 6."""
    calls: list[tuple[Any, ...]] = []

    def run_gate(settings: GateSettings, arguments: Any, folder: Path) -> int:
        calls.append((settings, list(arguments), folder))
        return 6

    monkeypatch.setattr(gating, "run_gate", run_gate)
    return calls


@pytest.mark.parametrize(
    ("words", "settings", "arguments"),
    [
        (["main"], GateSettings("main"), []),
        ([""], GateSettings(MERGE_BASE), []),
        (
            ["main", "a", "-k", "b", "--ignore=c", "--budget", "5"],
            GateSettings("main", budget=5.0),
            ["a", "-k", "b", "--ignore=c"],
        ),
        (
            ["--prepared", "x", "y", "--install", "z", "main", "--summary", "s"],
            GateSettings(
                "main",
                install="z",
                summary=Path("s"),
                prepared=(Path("x"), Path("y")),
            ),
            [],
        ),
    ],
)
def test_the_command_starts_the_same_gate(
    started: list[tuple[Any, ...]],
    words: list[str],
    settings: GateSettings,
    arguments: list[str],
) -> None:
    """Its own options are settings, the rest is for pytest; the exit code is kept."""
    done = CliRunner().invoke(gate, words)

    assert done.exit_code == 6, done.output
    assert started == [(settings, arguments, Path.cwd())]


@pytest.mark.parametrize("words", [[], ["main", "--threshold", "0"]])
def test_a_wrong_command_line_starts_nothing(
    started: list[tuple[Any, ...]], words: list[str]
) -> None:
    """As for every command."""
    assert CliRunner().invoke(gate, words).exit_code == 2
    assert started == []


def test_a_fault_shows_the_end_of_the_output_and_keeps_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line about what is wrong is the last one."""
    log = tmp_path / "log"
    log.write_text("all of it")
    output = "\n".join(map(str, range(50)))

    def fail(*_: object) -> None:
        with gating._kept_log(tmp_path):  # noqa: SLF001 - where the gate keeps it
            raise GateFaultError("old: test_it failed: no", output=output, log=log)

    monkeypatch.setattr(gating, "_gate", fail)

    assert gating.run_gate(GateSettings("main"), [], tmp_path) == 3

    *shown, kept, fault = capsys.readouterr().err.splitlines()
    assert shown == [str(number) for number in range(20, 50)]
    assert Path(kept.removeprefix("gate: all of its output: ")).read_text() == (
        "all of it"
    )
    assert fault == "gate: old: test_it failed: no"
