"""Commands that other distributions add by an entry point."""

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
    """Run Python beside a distribution that adds commands."""
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


def test_a_command_of_another_distribution_runs_like_a_built_in_one(run: Run) -> None:
    """Its usage errors are reported in the same way too."""
    greeted = run("-m", "pipeline", "greet", "you")
    wrong = run("-m", "pipeline", "greet")

    assert (greeted.returncode, greeted.stdout) == (0, "hello you\n")
    assert wrong.returncode == 2
    assert "(try 'pipeline greet --help')" in wrong.stderr


def test_help_lists_the_commands_of_other_distributions(run: Run) -> None:
    """A command that can't be loaded is listed with the reason; the others remain."""
    shown = run("-m", "pipeline", "--help").stdout

    assert "  greet         Greet someone." in shown
    assert "  report        Draw saved benchmark results as a page." in shown
    assert "  run           Run a workload." in shown
    assert "  broken        can't be loaded from others: No module named" in shown


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
    """The message is one line, for any arguments."""
    done = run("-m", "pipeline", command, "--some", "argument")

    assert (done.returncode, done.stderr) == (
        2,
        f"pipeline: {command} can't be loaded from others: {why}\n",
    )


def test_extensions_are_not_loaded_before_they_are_called(run: Run) -> None:
    """Looking up a built-in or unknown command imports no extension and no pytest."""
    done = run(
        "-c",
        "import sys; from pipeline.cli import cli; "
        "ctx = cli.make_context('pipeline', [], resilient_parsing=True); "
        "assert cli.get_command(ctx, 'run').name == 'run'; "
        "assert cli.get_command(ctx, 'no-such') is None; "
        "print(sorted({'others', 'pytest', 'pytest_pipeline'} & sys.modules.keys()))",
    )

    assert (done.stdout, done.stderr) == ("[]\n", "")
