"""Paths into the folder of a server, and out of it."""

from __future__ import annotations

import os
from pathlib import Path


def ways_to(served: Path, path: Path) -> list[tuple[str, str]]:
    """Return paths that lead to ``path``, which is served, each with what it is.

    Links are made beside ``path``.

    Args:
        served: the folder of the server.
        path: a path in a folder below that one.
    """
    folder = path.parent
    inner = folder / "inner"
    inner.mkdir(exist_ok=True)
    link = folder / "link"
    link.symlink_to(path)
    relative = path.relative_to(served)
    return [
        (str(path), "an absolute path in the folder"),
        (str(relative), "a path relative to the folder"),
        (str(inner / ".." / path.name), 'a path with ".." in the folder'),
        (str(link), "a link to a file in the folder"),
    ]


def escapes(served: Path, folder: Path, target: Path) -> list[tuple[str, str]]:
    """Return paths that lead to ``target``, which is not served, each with what it is.

    Args:
        served: the folder of the server.
        folder: a folder below that one, in which links are made.
        target: a path outside.
    """
    up = os.path.relpath(target, served)
    link = folder / "link"
    link.symlink_to(target)
    link_to_folder = folder / "link-to-folder"
    link_to_folder.symlink_to(target.parent)
    return [
        (str(target), "an absolute path outside the folder"),
        (up, 'a relative path that leaves the folder by ".."'),
        (str(served / up), 'an absolute path that leaves the folder by ".."'),
        (str(link), "a link that leads out of the folder"),
        (str(link_to_folder / target.name), "a path through a link out of the folder"),
    ]
