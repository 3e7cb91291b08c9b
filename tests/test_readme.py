"""README and the tutorials work when pasted; the reference of formats is complete."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from pipeline.accounting import RunReport
from pipeline.workloads.events.parse import REASONS
from tests.pages import GREETER, README, ROOT, blocks, shell_environment

TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
FORMATS = (ROOT / "docs" / "reference" / "formats.md").read_text()

#: Commands that a page shows and that are not run here, with what tests them instead.
TESTED_ELSEWHERE = {
    "pip install": "the project is installed already",
    "python3 -m venv": "installing and tox are what CI does; tests/ci holds it to them",
    "git clone": "the tests are in a clone",
    "tox": "what CI does",
    "pytest benchmarks --pipeline-gate-against": "tests/gate/test_end_to_end.py",
}
#: Options that make a slow command quick.
QUICKER = {
    "pipeline demo": "--events 200 --items 10",
    "pipeline tune": "--rounds 3 --seconds-per-run 0.2 --sizes 100,1000",
    "python -m pytest_pipeline.invariance": "--examples 3",
    "pytest": "-q -p no:cacheprovider --benchmark-max-time 0.05",
}


#: Commits of a tutorial, whatever git is told on this machine.
GIT = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_AUTHOR_NAME": "reader",
    "GIT_AUTHOR_EMAIL": "reader@example.org",
    "GIT_COMMITTER_NAME": "reader",
    "GIT_COMMITTER_EMAIL": "reader@example.org",
}


@pytest.mark.parametrize("page", [README, *TUTORIALS], ids=lambda page: page.stem)
def test_the_blocks_of_a_page_work_when_pasted_one_after_the_other(
    page: Path, tmp_path: Path
) -> None:
    """Files are written, commands are run, all in one folder that was empty."""
    folder = tmp_path / "empty"
    folder.mkdir()
    environment = shell_environment(tmp_path)
    if page != README:
        # A tutorial includes it; README has a service of its own.
        (folder / GREETER.name).write_text(GREETER.read_text())
    for block in blocks(page):
        name = block.file_name
        if name is not None:
            (folder / name).write_text(block.text)
        elif block.language == "sh":
            for command in filter(is_run, block.commands):
                run(quick(command), folder, environment)


def is_run(command: str) -> bool:
    """Return whether a command is run here."""
    return not command.startswith(tuple(TESTED_ELSEWHERE))


def quick(command: str) -> str:
    """Return the command with the options that make it quick."""
    for start, options in QUICKER.items():
        if command.startswith(start):
            return f"{command} {options}"
    return command


def run(command: str, folder: Path, environment: dict[str, str]) -> None:
    """Run a shell command; fail with its output unless it succeeds."""
    done = subprocess.run(
        ["/bin/sh", "-ec", command],
        cwd=folder,
        env={**environment, **GIT},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def test_the_two_commands_for_a_clone_are_those_that_are_promised() -> None:
    """They need nothing but Python and git, and each is one line to paste."""
    commands = [line for block in blocks(README) for line in block.commands]

    for last in (
        ".venv/bin/pip install . && .venv/bin/pipeline demo",
        ".venv/bin/pip install tox && .venv/bin/tox",
    ):
        assert f"python3 -m venv .venv && {last}" in commands


def test_the_readme_fits_a_reader_in_a_hurry() -> None:
    """It has at most 180 lines."""
    assert len(README.read_text().splitlines()) <= 180


def test_every_link_of_the_readme_leads_to_a_file() -> None:
    """A page that was moved is noticed here."""
    for target in re.findall(r"\]\(([^)#]+)\)", README.read_text()):
        assert (ROOT / target).exists(), target


def test_the_demo_runs(tmp_path: Path) -> None:
    """The demo of the README runs, here with fewer records."""
    command = f"pipeline demo {QUICKER['pipeline demo']}"

    run(command, tmp_path, shell_environment(tmp_path))


def section(title: str) -> str:
    """Return what stands below a heading of the page of formats."""
    return re.split(r"^## ", FORMATS.split(f"## {title}\n")[1], flags=re.MULTILINE)[0]


def first_column(text: str) -> list[str]:
    """Return the code words in the first column of every table."""
    cells = re.findall(r"^\| (`[^|]*`) \|", text, flags=re.MULTILINE)
    return [word for cell in cells for word in re.findall(r"`([^`]+)`", cell)]


def test_the_reasons_are_those_of_the_code_in_their_order() -> None:
    """The first reason that applies is reported, so the order matters."""
    assert first_column(section("Rejection reasons of events")) == list(REASONS)


def test_every_key_of_the_report_is_described() -> None:
    """The table has each key, and no other."""
    words = first_column(section("The run report"))

    assert sorted(words) == sorted(RunReport.__struct_fields__)
