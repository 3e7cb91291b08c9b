"""The script of the gate's action ends as the gate does."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

ACTION = Path(__file__).parents[2] / ".github" / "actions" / "gate" / "action.yml"


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
def test_the_action_ends_with_the_exit_code_of_the_gate(
    tmp_path: Path, code: int, strict: str, expected: int, warns: bool
) -> None:
    """Except that an inconclusive gate warns, unless `inconclusive-fails` is set."""
    script = next(
        step["run"]
        for step in yaml.safe_load(ACTION.read_text())["runs"]["steps"]
        if "env" in step
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
