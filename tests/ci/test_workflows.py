"""The workflows call tox and nothing else, with environments that there are."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTION = ROOT / ".github" / "actions" / "gate" / "action.yml"

_PREPARES = re.compile(
    r"pip install tox"
    r"|sudo apt-get update && sudo apt-get install --yes (chromium-browser|valgrind| )+"
)
_TOX = re.compile(r"tox( -p)? -e (\S+)")
_PINNED = re.compile(r"[\w-]+/[\w/-]+@[0-9a-f]{40}|\./\.github/actions/\w+")


@cache
def listed(*options: str) -> frozenset[str]:
    """Return the environments that tox lists."""
    done = subprocess.run(
        [sys.executable, "-m", "tox", "list", "--no-desc", "-c", ROOT, *options],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = (line.strip() for line in done.stdout.splitlines())
    return frozenset(line for line in lines if line and not line.endswith(":"))


def load(path: Path) -> dict[str, Any]:
    """Return the content of a YAML file."""
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    return content


def jobs(path: Path) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Yield each job of a workflow, with the steps that it has in each of its cells."""
    for job in load(path)["jobs"].values():
        matrix = job.get("strategy", {}).get("matrix", {})
        steps = []
        for cell in itertools.product(*matrix.values()):
            values = dict(zip(matrix, cell, strict=True))
            for step in job["steps"]:
                run = step.get("run", "")
                for name, value in values.items():
                    run = run.replace(f"${{{{ matrix.{name} }}}}", value)
                steps.append({**step, "run": run})
        yield job, steps


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_calls_tox_and_nothing_else(path: Path) -> None:
    """Beside what fetches tox, and the programs that tests look for."""
    called: list[str] = []
    for _, steps in jobs(path):
        for run in filter(None, (step["run"] for step in steps)):
            if _PREPARES.fullmatch(run):
                continue
            call = _TOX.fullmatch(run)
            assert call is not None, run
            called += call[2].split(",")

    assert listed().issuperset(called)
    assert called or path.name == "gate.yml"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_read_and_no_more(path: Path) -> None:
    """For no longer than a job takes, and the clone keeps no credentials."""
    assert load(path)["permissions"] == {"contents": "read"}
    for job, steps in jobs(path):
        assert "permissions" not in job
        assert job["timeout-minutes"] <= 180
        for step in steps:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", [*WORKFLOWS, ACTION], ids=lambda path: path.name)
def test_actions_are_pinned(path: Path) -> None:
    """By commit, for a tag can be moved."""
    used = re.findall(r"uses: (\S+)", path.read_text())

    assert used
    for action in used:
        assert _PINNED.fullmatch(action), action


def test_another_project_has_the_gate_in_ten_lines() -> None:
    """Those of the action's page, which do what our own workflow does."""
    page = ACTION.with_name("README.md").read_text()
    (block,) = re.findall(r"```yaml\n#[^\n]*\n(.*?)```", page, flags=re.DOTALL)
    inputs = re.findall(r"^\| `(\S+)` \|", page, flags=re.MULTILINE)
    own = load(ROOT / ".github" / "workflows" / "gate.yml")

    theirs = yaml.safe_load(block)

    assert len(block.splitlines()) == 10
    assert theirs["permissions"] == own["permissions"]
    assert theirs["jobs"]["gate"]["steps"] == own["jobs"]["gate"]["steps"]
    assert list(load(ACTION)["inputs"]) == inputs


def test_what_tox_runs_by_default_is_what_a_change_is_checked_by() -> None:
    """Nothing that must hold here is left out there."""
    matrix = load(WORKFLOWS[0])["jobs"]["check"]["strategy"]["matrix"]

    assert WORKFLOWS[0].name == "ci.yml"
    assert set(matrix["env"]) == listed("-d")


@pytest.mark.parametrize(
    ("code", "strict", "expected", "warns"),
    [
        (0, "false", 0, False),
        (1, "false", 1, False),
        (3, "false", 3, False),
        (4, "false", 4, False),
        (5, "false", 5, False),
        (6, "false", 0, True),
        (6, "true", 6, False),
    ],
)
def test_the_action_fails_as_the_gate_does(
    tmp_path: Path, code: int, strict: str, expected: int, warns: bool
) -> None:
    """But for a gate that could not tell, unless that is to fail too."""
    script = next(
        step["run"] for step in load(ACTION)["runs"]["steps"] if "env" in step
    )
    gate = tmp_path / "gate.sh"
    gate.write_text(f'echo "$1 was measured" > "$3.md"\nexit {code}\n')
    posted = tmp_path / "summary"

    done = subprocess.run(
        # As GitHub runs it.
        ["/bin/bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        env={
            "PATH": "/usr/bin:/bin",
            "AGAINST": "abc",
            "COMMAND": f"bash {gate}",
            "INCONCLUSIVE_FAILS": strict,
            "RUNNER_TEMP": str(tmp_path),
            "GITHUB_STEP_SUMMARY": str(posted),
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == expected
    assert ("::warning" in done.stdout) is warns
    assert posted.read_text() == "abc was measured\n"
