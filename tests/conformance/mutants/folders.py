"""Folders that are confined in a wrong way."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pipeline.transport.folders import ServedFolders


class _WrongFolders(ServedFolders):
    """Folders of which there is one."""

    def __init__(self, folders: Sequence[Path]) -> None:
        super().__init__(folders)
        self._folder = folders[0].resolve()


class Everywhere(_WrongFolders):
    """Serves every path."""

    def _locate(self, path: str) -> Path | None:
        return self._folder / path


class LinksUnresolved(_WrongFolders):
    """Resolves ".." but no links."""

    def _locate(self, path: str) -> Path | None:
        found = Path(os.path.normpath(self._folder / path))
        return found if found.is_relative_to(self._folder) else None


class ByPrefix(_WrongFolders):
    """Takes for a folder's what begins with the same characters."""

    def _locate(self, path: str) -> Path | None:
        found = (self._folder / path).resolve()
        return found if str(found).startswith(str(self._folder)) else None


class AbsoluteOnly(_WrongFolders):
    """Serves no path that is relative."""

    def _locate(self, path: str) -> Path | None:
        return super()._locate(path) if path.startswith("/") else None
