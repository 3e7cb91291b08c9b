"""The examples on the pages of the documentation."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
#: Every page with examples: README and the site.
PAGES = (README, *sorted((ROOT / "docs").rglob("*.md")))
GREETER = ROOT / "examples" / "greeter" / "greeter.py"

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
_FILE_NAME = re.compile(r"# (\S+\.\w+)\n")


@dataclass(frozen=True)
class Block:
    """A fenced block: a file named in its first line, or shell commands."""

    language: str
    text: str

    @property
    def file_name(self) -> str | None:
        """The name in the first line, such as ``# test_greeter.py``."""
        found = _FILE_NAME.match(self.text)
        return found[1] if found else None

    @property
    def commands(self) -> list[str]:
        """The commands of a shell block, each in one line."""
        text = self.text.replace("\\\n", " ")
        return [line for line in text.splitlines() if line.strip()]


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page, in order."""
    for language, text in _BLOCK.findall(page.read_text(encoding="utf-8")):
        yield Block(language, text)


def python_files(page: Path) -> dict[str, str]:
    """Return the Python files that a page shows, by name."""
    files: dict[str, str] = {}
    for block in blocks(page):
        if block.language == "python":
            name = block.file_name
            assert name is not None, f"{page.name}: a Python block without a file name"
            assert name not in files, f"{page.name}: {name} twice"
            files[name] = block.text
    return files


def has_tests(page: Path) -> bool:
    """Return whether a page shows tests."""
    return any("\ndef test_" in text for text in python_files(page).values())


def shell_environment(folder: Path) -> dict[str, str]:
    """Return an environment in which the commands of a page are found.

    ``pipeline``, ``pytest`` and ``python`` run on this interpreter, whatever is on the
    path, and pytest takes its settings from ``folder``.
    """
    programs = folder / "bin"
    programs.mkdir()
    for name, module in (("pipeline", "pipeline"), ("pytest", "pytest")):
        _program(programs / name, f'exec "{sys.executable}" -m {module} "$@"')
    _program(programs / "python", f'exec "{sys.executable}" "$@"')
    inherited = {
        name: value
        for name, value in os.environ.items()
        # By which a session would take itself for a worker of xdist.
        if not name.startswith(("PYTEST_XDIST", "PYTEST_ADDOPTS"))
    }
    return {**inherited, "PATH": f"{programs}{os.pathsep}{inherited['PATH']}"}


def _program(path: Path, command: str) -> None:
    path.write_text(f"#!/bin/sh\n{command}\n")
    path.chmod(0o755)
