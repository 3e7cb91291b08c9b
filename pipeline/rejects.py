"""The rejects file, which is published together with the result of its run.

Two files can't be replaced in one step. So the earlier rejects are moved aside before
the result is published, and the new ones follow it: nobody finds the rejects of one run
beside the result of another. A manifest beside the result says what is under way. If
the process dies in the middle, the next run with the same result finishes or undoes it.
"""

from __future__ import annotations

import contextlib
import json
import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from pipeline.beside import (
    create_beside,
    fsync_folder,
    left_beside,
    lock,
    name_beside,
    remove,
)
from pipeline.errors import LostStageError, PipelineError, SinkError, one_line
from pipeline.publishing import PARTIAL, Draft
from pipeline.v1.pipeline_pb2 import Rejection

#: How the names of manifests end.
_PUBLISHING = "publishing"


class RejectsFile:
    """The rejects file: one JSON object a line, by ascending record number.

    Example::

        with RejectsFile("rejects.ndjson", result="totals.ndjson") as rejects:
            rejects.add("parse", rejection)
            rejects.prepare()
            ...  # publish the result
            rejects.publish()

    If the context is left after `prepare` and without `publish`, the new rejects are
    published if the result was, and the earlier ones are put back if it was not.

    Args:
        path: Where it is published.
        result: The file of the result; None if this process can't see it. Whether such
            a result was published is known only if the sink has refused it.

    Raises:
        SinkError: It can't be written.
    """

    def __init__(self, path: str | Path, result: str | Path | None = None) -> None:
        self._draft = Draft(path)
        self._result = None if result is None else _real(result)
        self._manifest: _Manifest | None = None
        #: The file of the manifest.
        self._path: Path | None = None
        #: Holds the locks of the manifest and of the earlier rejects.
        self._locks = ExitStack()

    @property
    def draft(self) -> Draft:
        """The draft that its lines are written to."""
        return self._draft

    def add(self, stage: str, rejection: Rejection) -> None:
        """Write one line."""
        row: dict[str, int | str] = {
            "record": rejection.record,
            "stage": stage,
            "reason": rejection.reason,
        }
        if rejection.field:
            row["field"] = rejection.field
        self._draft.write(msgspec.json.encode(row) + b"\n")

    def begin_again(self) -> None:
        """Throw away what was added; nothing is prepared yet.

        Raises:
            SinkError: It can't be written.
        """
        self._draft.begin_again()

    def prepare(self) -> None:
        """Move the earlier rejects aside. Call this before the result is published.

        Raises:
            SinkError: That is not possible, and the result must not be published.
        """
        self._draft.seal()
        rejects = self._draft.target
        aside = name_beside(rejects, PARTIAL)
        manifest = _Manifest(self._draft.partial, rejects, aside, _inode(self._result))
        self._manifest = manifest
        try:
            if self._result is not None:
                self._path, file = create_beside(self._result, _PUBLISHING)
                self._locks.enter_context(file)
                file.write(manifest.to_json())
                file.flush()
                os.fsync(file.fileno())
                fsync_folder(self._result.parent)
            with contextlib.suppress(FileNotFoundError):
                earlier = self._locks.enter_context(rejects.open("rb"))
                lock(earlier.fileno())
                rejects.rename(aside)
                fsync_folder(rejects.parent)
        except OSError as error:
            raise SinkError(
                f"can't write {self._draft.path}: {one_line(error)}"
            ) from error

    def publish(self) -> None:
        """Publish the rejects. Call this once the result is published.

        Raises:
            SinkError: That is not possible; there are no rejects beside the result.
        """
        try:
            self._draft.publish()
        except SinkError as error:
            raise SinkError(
                f"{error}; the result is published without its rejects"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        with self._locks, self._draft:
            if self._manifest is None:
                return
            # What fails is left to the next run; it must not hide the cause.
            with contextlib.suppress(OSError):
                self._manifest.settle(self._is_published(error))
                if self._path is not None:
                    self._path.unlink()

    def _is_published(self, error: BaseException | None) -> bool | None:
        """Return whether the result is, after the run's error; None if not known."""
        if self._result is not None and self._manifest is not None:
            return self._manifest.is_published(self._result)
        if error is None:
            return True
        refused = isinstance(error, PipelineError)
        return False if refused and not isinstance(error, LostStageError) else None


def settle_left(result: str | Path) -> None:
    """Finish or undo publications of ``result`` in whose midst a process has died.

    Call this before the drafts of a run are opened, which removes what is left over.
    """
    target = _real(result)
    for path in left_beside(target, _PUBLISHING):
        with contextlib.suppress(OSError):
            try:
                manifest = _Manifest.from_json(path.read_bytes())
            except (TypeError, ValueError):
                pass  # its process died while writing it, so nothing had begun
            else:
                manifest.settle(manifest.is_published(target))
            path.unlink()


@dataclass(frozen=True, slots=True)
class _Manifest:
    """What the publication of a result and its rejects does with the rejects."""

    #: The new rejects, until they are published.
    draft: Path
    #: Where they are published.
    rejects: Path
    #: Where the earlier rejects are meanwhile.
    aside: Path
    #: That of the earlier result; None without one. A new file has another.
    earlier_inode: int | None

    def is_published(self, result: Path) -> bool:
        """Return whether the result is a new one."""
        return _inode(result) != self.earlier_inode

    def settle(self, is_published: bool | None) -> None:
        """Leave the rejects that belong to the result; none if it is not known which.

        Raises:
            OSError: That is not possible now.
        """
        if is_published and self.draft.exists():
            self.draft.rename(self.rejects)
        # Another run may have published rejects since.
        if is_published is False and self.aside.exists() and not self.rejects.exists():
            self.aside.rename(self.rejects)
        fsync_folder(self.rejects.parent)
        remove(self.draft)
        remove(self.aside)

    def to_json(self) -> bytes:
        """Return it as JSON, whatever bytes the paths consist of."""
        # msgspec refuses paths that are not UTF-8.
        return json.dumps(
            [*map(str, (self.draft, self.rejects, self.aside)), self.earlier_inode]
        ).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Return what `to_json` has written; ValueError or TypeError if it is not."""
        draft, rejects, aside, inode = json.loads(data)
        return cls(Path(draft), Path(rejects), Path(aside), inode)


def _real(path: str | Path) -> Path:
    return Path(os.path.realpath(path))


def _inode(path: Path | None) -> int | None:
    """Return the inode of a file; None if there is none."""
    if path is None:
        return None
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None
