"""What a server may touch: the folders that it was told to serve."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.errors import SinkError, SourceError
from pipeline.inputs import STANDARD_INPUT, Inputs
from pipeline.publishing import Draft


class ServedFolders:
    """Folders that a client may name paths below, and perhaps standard input.

    Links and ".." are followed before a path is judged. A relative path is taken from
    the first folder that has it.
    """

    def __init__(
        self, folders: Sequence[Path], *, standard_input: bool = False
    ) -> None:
        self._folders = [folder.resolve() for folder in folders]
        self._standard_input = standard_input

    def inputs(self, is_wanted: Callable[[], bool]) -> Inputs:
        """Return what a source may open."""
        return Inputs(self._resolve_source, is_wanted)

    def draft(self, path: str) -> Draft:
        """Start the result file at ``path``; raise SinkError where it may not be."""
        target = self._locate(path)
        if target is None:
            raise SinkError(
                f"can't write {path}: it is outside the folders that the sink serves"
            )
        return Draft(target)

    def _resolve_source(self, path: str) -> Path:
        if path == STANDARD_INPUT:
            if not self._standard_input:
                raise SourceError("ingest does not serve standard input")
            return Path(path)
        target = self._locate(path)
        if target is None:
            raise SourceError(
                f"can't read {path}: it is outside the folders that ingest serves"
            )
        return target

    def _locate(self, path: str) -> Path | None:
        """Return ``path`` with links followed, or None if it is not served."""
        candidates = [(folder / path).resolve() for folder in self._folders]
        served = [
            candidate
            for candidate in candidates
            if any(candidate.is_relative_to(folder) for folder in self._folders)
        ]
        existing = [candidate for candidate in served if candidate.exists()]
        return next(iter(existing or served), None)
