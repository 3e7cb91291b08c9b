"""The stages in other languages pass the tests and linters of their languages."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pipeline.languages import LANGUAGES
from tests.stages.conftest import environment

ROOT = Path(__file__).parent.parent.parent

#: What each language checks its stages with; npm installs its linters first.
COMMANDS = {
    "go": (
        "test -z $(gofmt -l .)",
        "go vet ./...",
        "go tool staticcheck ./...",
        "go test ./...",
    ),
    "rust": (
        "cargo fmt --check",
        "cargo clippy --locked --all-targets -- -D warnings",
        "cargo test --locked",
    ),
    "typescript": ("npm ci --no-audit --no-fund && npm run lint && npm test",),
}


@pytest.mark.parametrize(
    ("name", "command"),
    [(name, command) for name, commands in COMMANDS.items() for command in commands],
)
def test_its_own_tools_find_nothing(name: str, command: str) -> None:
    """Its tests read the golden vectors; style and lints are those of the language."""
    language = LANGUAGES[name]
    if why := language.missing_toolchain():
        pytest.skip(f"{name}: {why}")

    done = subprocess.run(
        ["sh", "-c", command],  # noqa: S607 - any shell
        cwd=ROOT / "stages" / language.folder,
        env=environment(),
        capture_output=True,
        check=False,
        text=True,
    )

    assert done.returncode == 0, f"{done.stdout[-5000:]}\n{done.stderr[-5000:]}"
