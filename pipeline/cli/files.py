"""Checks of the files that a command is given."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.errors import UsageError


def check_distinct(paths: dict[str, Path | None]) -> None:
    """Raise UsageError if two options name the same file.

    Args:
        paths: The paths by option; None if the option was not given.
    """
    seen: dict[str, str] = {}
    for option, path in paths.items():
        if path is None:
            continue
        other = seen.setdefault(os.path.realpath(path), option)
        if other != option:
            raise UsageError(f"{option} {path}: is the same file as {other}")
