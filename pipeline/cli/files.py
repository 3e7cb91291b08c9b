"""The files of a command."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.errors import UsageError


def check_distinct(paths: dict[str, Path | None]) -> None:
    """Raise UsageError where two files, by the option that names them, are one."""
    seen: dict[str, str] = {}
    for option, path in paths.items():
        if path is None:
            continue
        other = seen.setdefault(os.path.realpath(path), option)
        if other != option:
            raise UsageError(f"{option} {path}: is the same file as {other}")
