"""Results and rejects that go to a URL."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit
from urllib.request import url2pathname

from pipeline.cli.output import say
from pipeline.errors import SinkError, UsageError
from pipeline.interrupts import uninterrupted
from pipeline.publishing import Draft
from pipeline.urls import is_url, redacted

# Stores in which a file appears, or replaces another, when all of it has arrived.
_ATOMIC = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss")

_BLOCK_BYTES = 256 * 1024


class Uploads:
    """The files that a run writes, some of which go to a URL when it has succeeded.

    If one does, all of them are written to a temporary folder first, and published one
    after the other. Until then the store and earlier files are left as they are.

    Args:
        given: The path or URL of each option, in the order of publishing.

    Raises:
        SinkError: A file can't be written, or the store of a URL can't be used.
        UsageError: A URL can't be written.
    """

    def __init__(self, given: Mapping[str, str]) -> None:
        targets = {option: _target(option, name) for option, name in given.items()}
        #: The file to write by option.
        self.paths: dict[str, Path] = {}
        self._drafts: dict[Path, str | Draft] = {}
        with ExitStack() as stack:
            folder = None
            if any(isinstance(target, str) for target in targets.values()):
                temporary = tempfile.TemporaryDirectory(
                    prefix="pipeline-output-", ignore_cleanup_errors=True
                )
                folder = Path(stack.enter_context(temporary)).resolve()
            for option, target in targets.items():
                if folder is None:
                    self.paths[option] = Path(target)
                    continue
                path = self.paths[option] = folder / option.lstrip("-")
                self._drafts[path] = (
                    target
                    if isinstance(target, str)
                    else stack.enter_context(Draft(target))
                )
            self._stack = stack.pop_all()

    def __bool__(self) -> bool:
        """Return whether anything goes to a URL."""
        return bool(self._drafts)

    def publish(self) -> None:
        """Put each file where it goes.

        Raises:
            SinkError: One can't be put there; the message names those that were.
        """
        done: list[str] = []
        for path, target in self._drafts.items():
            try:
                if isinstance(target, Draft):
                    _publish(path, target)
                else:
                    from pipeline.url_files import put_file

                    put_file(path, target)
            except SinkError as error:
                if not done:
                    raise
                raise SinkError(f"{error}; {done[0]} is published already") from error
            name = target if isinstance(target, str) else str(target.path)
            done.append(redacted(name))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with uninterrupted():
            self._stack.close()


def _target(option: str, given: str) -> str | Path:
    """Return the URL that a file is uploaded to, or the path of a local file."""
    if not is_url(given):
        return Path(given)
    scheme = given.partition("://")[0].lower()
    if scheme == "file":
        return Path(url2pathname(urlsplit(given).path))
    if scheme in {"http", "https"}:
        raise UsageError(
            f"{option} {redacted(given)}: HTTP is only read; give a file, or a URL of "
            f"an object store"
        )
    # Before the run, since it may take hours.
    from pipeline.url_files import check_store

    check_store(given)
    if scheme not in _ATOMIC:
        say(
            f"warning: {scheme}:// may not replace a file at once; who reads "
            f"{redacted(given)} meanwhile may see a part of it"
        )
    return given


def _publish(path: Path, draft: Draft) -> None:
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            draft.write(block)
    draft.publish()
