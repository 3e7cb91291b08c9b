"""Keep the progress of a run in a folder, so that the run can resume after a crash.

The folder has one SQLite file. A transaction stores what belongs together: the counts
of the records, the state of the result, and the bytes that were written to the result
and to the rejects since the transaction before.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import msgspec

from pipeline.accounting import Progress, RunAccount
from pipeline.errors import SinkError, UsageError, one_line
from pipeline.publishing import Draft
from pipeline.result import ResultWriter
from pipeline.v1.pipeline_pb2 import Position

#: Batches from one checkpoint to the next.
DEFAULT_CHECKPOINT_BATCHES = 64

_NAME = "checkpoint.sqlite"
_PID = "pid"

# Each commit is on disk before it returns, and the file is read well after any crash.
_SETTINGS = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
"""
_TABLES = """
CREATE TABLE IF NOT EXISTS identity (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS progress (counts TEXT NOT NULL, state BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS written (draft TEXT NOT NULL, data BLOB NOT NULL);
"""


class Checkpoint:
    """The progress of one run; see `open_checkpoint`."""

    def __init__(self, folder: Path, database: sqlite3.Connection, every: int) -> None:
        self._folder = folder
        self._database = database
        self._every = every
        self._account: RunAccount
        self._result: ResultWriter
        #: What the batches since the last call of `add_batch` have written, by draft.
        self._pending: dict[str, bytearray] = {}
        self._added = 0

    def claim(self, identity: Mapping[str, str]) -> None:
        """Start a run of this identity, unless the folder has one to resume.

        Args:
            identity: What must be the same when the run resumes, by a name for people.

        Raises:
            UsageError: The folder has the progress of another run.
            SinkError: It can't be written.
        """
        with _named_failures(self._folder):
            self._database.executescript(_SETTINGS + _TABLES)
            rows = self._database.execute("SELECT name, value FROM identity")
            found = dict(rows.fetchall())
            if not found:
                self._start(identity)
        if found and found != identity:
            differences = ", ".join(
                f"{name} was {found.get(name, 'unknown')} and is "
                f"{identity.get(name, 'unknown')}"
                for name in sorted(found.keys() | identity.keys())
                if found.get(name) != identity.get(name)
            )
            raise UsageError(
                f"checkpoint {self._folder}: is of another run: {differences}; run "
                f"the same command again, or remove the folder to start anew"
            )

    def _start(self, identity: Mapping[str, str]) -> None:
        execute = self._database.execute
        execute("BEGIN")
        # A run that was published may have left these.
        execute("DELETE FROM progress")
        execute("DELETE FROM written")
        self._database.executemany(
            "INSERT INTO identity VALUES (?, ?)", identity.items()
        )
        execute("COMMIT")

    def restore(
        self, account: RunAccount, result: ResultWriter, drafts: Mapping[str, Draft]
    ) -> Position:
        """Bring a new run to where the last checkpoint was, and follow it from there.

        Args:
            account: The account of the run.
            result: Its result.
            drafts: What it writes to, by a name for each.

        Returns:
            The position from which to read on.

        Raises:
            SinkError: The checkpoint can't be read, or a draft can't be written.
        """
        __tracebackhide__ = True
        self._account, self._result = account, result
        for name, draft in drafts.items():
            with _named_failures(self._folder):
                for (data,) in self._database.execute(
                    "SELECT data FROM written WHERE draft = ? ORDER BY rowid", (name,)
                ):
                    draft.write(data)
            self._pending[name] = bytearray()
            draft.on_write = self._pending[name].extend
        with _named_failures(self._folder):
            row = self._database.execute(
                "SELECT counts, state FROM progress"
            ).fetchone()
        if row is None:
            return Position()
        progress = msgspec.json.decode(row[0], type=Progress)
        account.restore(progress)
        result.restore(row[1], progress.batches)
        return Position(batches=progress.batches, records=progress.records)

    def add_batch(self) -> None:
        """Count a settled batch; store the progress after every so many.

        Raises:
            SinkError: The progress can't be stored.
        """
        __tracebackhide__ = True
        self._added += 1
        is_due = self._added % self._every == 0
        if not is_due and not any(self._pending.values()):
            return
        state = self._result.state() if is_due else b""
        with _named_failures(self._folder):
            if not self._database.in_transaction:
                self._database.execute("BEGIN")
            for name, data in self._pending.items():
                if data:
                    self._database.execute(
                        "INSERT INTO written VALUES (?, ?)", (name, data)
                    )
                    data.clear()
            if is_due:
                counts = msgspec.json.encode(self._account.progress)
                self._database.execute("DELETE FROM progress")
                self._database.execute(
                    "INSERT INTO progress VALUES (?, ?)", (counts, state)
                )
                self._database.execute("COMMIT")

    def remove(self) -> None:
        """Remove the progress of a run that is published; the next one starts anew.

        Failures are ignored. A run that finds the progress of a published one only
        publishes the same bytes again.
        """
        with suppress(SinkError), _named_failures(self._folder):
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            # First, so that a crash from here on leaves nothing to resume.
            self._database.execute("DELETE FROM identity")
            self._database.close()
            for name in (_NAME, f"{_NAME}-wal", f"{_NAME}-shm"):
                (self._folder / name).unlink(missing_ok=True)


@contextmanager
def open_checkpoint(
    folder: Path, every: int, identity: Mapping[str, str]
) -> Iterator[Checkpoint]:
    """Open the checkpoint in ``folder``, for one run at a time.

    Args:
        folder: Is made if it is missing. It must be on a file system of this machine.
        every: The number of batches from one checkpoint to the next.
        identity: What must be the same when the run resumes, by a name for people.

    Raises:
        UsageError: The folder is in use, or has the progress of another run; or
            ``every`` is below 1.
        SinkError: It can't be written.
    """
    if every < 1:
        raise UsageError(f"checkpoint every {every} batches: must be 1 or more")
    with _locked(folder):
        with _named_failures(folder):
            database = sqlite3.connect(folder / _NAME, isolation_level=None)
        with closing(database):
            checkpoint = Checkpoint(folder, database, every)
            checkpoint.claim(identity)
            yield checkpoint


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder; the system releases it when this process ends.

    Raises:
        UsageError: Another run holds it, or it is no folder.
    """
    owner = folder / _PID
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise UsageError(f"checkpoint {folder}: {one_line(error)}") from error
    try:
        with _named_failures(folder):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(
                    f"checkpoint {folder}: is in use by process {_read(owner)}; give "
                    f"each run a folder of its own"
                ) from None
            owner.write_text(str(os.getpid()))
        try:
            yield
        finally:
            owner.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _read(owner: Path) -> str:
    """Return the number of the process that holds the folder."""
    with suppress(OSError):
        return owner.read_text()
    return "unknown"


@contextmanager
def _named_failures(folder: Path) -> Iterator[None]:
    """Name the folder in what the system or SQLite refuses."""
    try:
        yield
    except (sqlite3.OperationalError, OSError) as error:
        raise SinkError(
            f"can't write checkpoint {folder}: {one_line(error)}"
        ) from error
    except sqlite3.DatabaseError as error:
        raise SinkError(
            f"checkpoint {folder}: is damaged: {one_line(error)}; remove the folder to "
            f"start anew"
        ) from error
