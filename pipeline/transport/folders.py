"""The folders that a server reads from and writes to on behalf of clients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.errors import SinkError, SourceError, UsageError
from pipeline.inputs import STANDARD_INPUT, Inputs
from pipeline.publishing import Draft


class ServedFolders:
    """Folders whose files clients may name, and perhaps standard input.

    Links and ".." are resolved before a path is checked. A relative path is looked up
    in each folder in turn.

    Args:
        folders: The folders.
        standard_input: Whether "-" is served.
        pipes: Whether named pipes and devices are served. A client that names one can
            hold a thread for as long as nobody writes to it.
        urls: Whether URLs are served, to callers that may have them opened. A client
            could reach what only this machine reaches, with the rights of this process.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        *,
        standard_input: bool = False,
        pipes: bool = True,
        urls: bool = False,
    ) -> None:
        self._folders = [folder.resolve() for folder in folders]
        self._standard_input = standard_input
        self._pipes = pipes
        self._urls = urls

    def inputs(
        self, is_wanted: Callable[[], bool], *, may_open_urls: bool = False
    ) -> Inputs:
        """Return the inputs of a source.

        Args:
            is_wanted: See `Inputs`.
            may_open_urls: Whether the caller may have URLs opened, if they are served.
        """
        return Inputs(
            self._resolve_source,
            is_wanted,
            pipes=self._pipes,
            urls=self._urls and may_open_urls,
        )

    def draft(self, path: str) -> Draft:
        """Start the result file at ``path``; SinkError if outside the folders."""
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
        """Return ``path`` with links resolved; None if it is outside the folders.

        Raises:
            UsageError: No file can have that path.
        """
        try:
            candidates = [(folder / path).resolve() for folder in self._folders]
            served = [
                candidate
                for candidate in candidates
                if any(candidate.is_relative_to(folder) for folder in self._folders)
            ]
            existing = [candidate for candidate in served if candidate.exists()]
        except (OSError, RuntimeError, ValueError):
            # It is too long, links to itself, or has a NUL.
            raise UsageError("no file can have the path that was sent") from None
        return next(iter(existing or served), None)
