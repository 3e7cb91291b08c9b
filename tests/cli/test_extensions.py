"""Commands that other distributions bring."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs the command line beside a distribution with commands, or any Python."""
    about = tmp_path / "others-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: others\nVersion: 1.0\n"
    )
    (about / "entry_points.txt").write_text(
        "[pipeline.commands]\n"
        "greet = others:greet\n"
        "broken = others_broken:command\n"
        "number = others:number\n"
        "run = others:greet\n"
    )
    (tmp_path / "others.py").write_text(
        "import click\n"
        "number = 1\n"
        "@click.command()\n"
        "@click.argument('name')\n"
        "def greet(name):\n"
        "    'Greet someone.'\n"
        "    click.echo(f'hello {name}')\n"
    )
    (tmp_path / "others_broken.py").write_text("import a_module_that_is_not_there\n")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=60,
        )

    return run


def test_a_command_of_another_distribution_is_one_of_ours(run: Run) -> None:
    """It runs, and its usage errors are told as any other."""
    greeted = run("-m", "pipeline", "greet", "you")
    wrong = run("-m", "pipeline", "greet")

    assert (greeted.returncode, greeted.stdout) == (0, "hello you\n")
    assert wrong.returncode == 2
    assert "(try 'pipeline greet --help')" in wrong.stderr


def test_help_lists_all_of_them(run: Run) -> None:
    """One that can't be loaded says so, and does not hide the others."""
    shown = run("-m", "pipeline", "--help").stdout

    assert "  greet     Greet someone." in shown
    assert "  report    Draw what benchmarks have measured as one page." in shown
    assert "  run       Run a workload through the pipeline." in shown
    assert "  broken    can't be loaded from others: No module named" in shown


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("broken", "No module named 'a_module_that_is_not_there'"),
        ("number", "others:number is no click command"),
    ],
)
def test_a_command_that_can_not_be_loaded_says_why(
    run: Run, command: str, why: str
) -> None:
    """In one line, whatever arguments it was given."""
    done = run("-m", "pipeline", command, "--some", "argument")

    assert (done.returncode, done.stderr) == (
        2,
        f"pipeline: {command} can't be loaded from others: {why}\n",
    )


def test_no_command_is_loaded_before_it_is_asked_for(run: Run) -> None:
    """Ours cost nothing for those of others, and pytest is not imported."""
    done = run(
        "-c",
        "import sys; from pipeline.cli import cli; "
        "ctx = cli.make_context('pipeline', [], resilient_parsing=True); "
        "assert cli.get_command(ctx, 'run').name == 'run'; "
        "assert cli.get_command(ctx, 'no-such') is None; "
        "print(sorted({'others', 'pytest', 'pytest_pipeline'} & sys.modules.keys()))",
    )

    assert (done.stdout, done.stderr) == ("[]\n", "")
