"""Publish a file whole or not at all: write beside it, fsync, rename."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Self

from pipeline.beside import create_beside, fsync_folder, remove, sweep_beside
from pipeline.errors import SinkError, one_line

#: How the names of drafts end.
PARTIAL = "partial"


class Draft:
    """A file that is written beside the path where it will be published.

    Until `publish`, an earlier file at that path is untouched. Leaving the context
    without `publish` discards the draft. A link is followed, and the permissions of an
    earlier file are kept.

    Drafts of the same path that dead processes have left are removed first.

    Every method raises SinkError, naming the path, if the system refuses.

    Example::

        with Draft("totals.ndjson") as draft:
            draft.write(data)
            draft.publish()
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.size = 0
        #: Called with everything that is written, once that has worked.
        self.on_write: Callable[[bytes], None] = lambda _: None
        self._is_sealed = False
        target = Path(os.path.realpath(path))
        try:
            mode = _mode_of(target)
            sweep_beside(target, PARTIAL)
            self._target = target
            self._draft, self._file = create_beside(target, PARTIAL)
            if mode is not None:
                self._draft.chmod(mode)
        except OSError as error:
            raise self._refused(error) from error

    def write(self, data: bytes) -> None:
        """Append ``data``."""
        try:
            self._file.write(data)
        except OSError as error:
            raise self._refused(error) from error
        self.size += len(data)
        self.on_write(data)

    def begin_again(self) -> None:
        """Throw away what was written; it is not sealed yet."""
        try:
            self._file.seek(0)
            self._file.truncate()
        except OSError as error:
            raise self._refused(error) from error
        self.size = 0

    def seal(self) -> None:
        """Write the whole draft to disk, so that publishing is only a rename."""
        if self._is_sealed:
            return
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._refused(error) from error
        self._is_sealed = True

    def publish(self) -> None:
        """Seal the draft and rename it to its path."""
        self.seal()
        try:
            self._draft.replace(self._target)
            fsync_folder(self._target.parent)
            self._file.close()
        except OSError as error:
            raise self._refused(error) from error

    def discard(self) -> None:
        """Remove the draft unless it is published. May be called twice."""
        # Closing flushes, which may fail; but the data is thrown away here.
        with contextlib.suppress(OSError):
            self._file.close()
        remove(self._draft)

    @property
    def target(self) -> Path:
        """The path to publish at, with links followed."""
        return self._target

    @property
    def partial(self) -> Path:
        """The path of the draft itself."""
        return self._draft

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def _refused(self, error: OSError) -> SinkError:
        return SinkError(f"can't write {self.path}: {one_line(error)}")


def sweep_drafts(path: str | Path) -> None:
    """Remove the drafts of ``path`` that dead processes have left."""
    sweep_beside(Path(os.path.realpath(path)), PARTIAL)


def write_whole(path: str | Path, data: bytes) -> None:
    """Publish ``data`` as the file at ``path``.

    Raises:
        SinkError: It can't be written; an earlier file is as it was.
    """
    with Draft(path) as draft:
        draft.write(data)
        draft.publish()


def _mode_of(target: Path) -> int | None:
    """Return the permissions of an earlier file; None if there is none."""
    try:
        status = target.stat()
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(21, "it is a folder")
    if not stat.S_ISREG(status.st_mode):
        # A rename would replace a device or pipe instead of writing to it.
        raise OSError(22, "it is not a regular file")
    return stat.S_IMODE(status.st_mode)
