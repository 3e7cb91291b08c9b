"""The store of a run's progress."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Never

import pytest

from pipeline.accounting import RunAccount
from pipeline.checkpoint import Checkpoint, open_checkpoint
from pipeline.errors import SinkError, UsageError
from pipeline.publishing import Draft
from pipeline.rejects import RejectsFile
from pipeline.result import ResultWriter
from pipeline.v1.pipeline_pb2 import Position, Rejection
from pipeline.v1.work_items_pb2 import Scores
from pipeline.workloads.work_items.aggregate import ItemScores, totals_of

IDENTITY = {"IN": "1 byte", "--batch-size": "7"}


class Attempt:
    """An attempt at a run that passes batches of one item, with a rejection each."""

    def __init__(self, folder: Path, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.output = Draft(folder / "out")
        self.rejects = RejectsFile(folder / "rejects")
        self.account = RunAccount(("ingest", "sink"), self.rejects)
        self.result = ResultWriter(ItemScores(), self.output)
        drafts = {"result": self.output, "rejects": self.rejects.draft}
        self.position = checkpoint.restore(self.account, self.result, drafts)

    def pass_batch(self) -> None:
        """Pass the next batch, all the way."""
        number = self.account.batches
        self.account.ingest(2)
        self.result.add(
            Scores(
                record=[number],
                id=[number],
                final_score=[0.1 * number],
                totals=totals_of([0.1 * number]),
            )
        )
        rejection = Rejection(record=2 * number + 1, reason="odd")
        self.account.settle(1, 0, [("parse", rejection)])
        self.checkpoint.add_batch()

    def published(self) -> tuple[bytes, bytes]:
        """Publish, and return what is published."""
        self.result.commit(self.account.batches, self.account.passed)
        self.rejects.publish()
        return self.output.path.read_bytes(), self.rejects.draft.path.read_bytes()


@contextmanager
def attempt(folder: Path, every: int = 3) -> Iterator[Attempt]:
    """Make an attempt at the run in ``folder``, which ends as the context is left."""
    with open_checkpoint(folder / "checkpoint", every, IDENTITY) as checkpoint:
        made = Attempt(folder, checkpoint)
        with made.output, made.rejects:
            yield made


@pytest.mark.parametrize("batches", [0, 1, 2, 3, 4, 8, 9])
def test_an_attempt_begins_where_the_last_checkpoint_was(
    tmp_path: Path, batches: int
) -> None:
    """Counts, state and written bytes are of the same batch, whenever it ended."""
    (tmp_path / "whole").mkdir()
    with attempt(tmp_path / "whole") as whole:
        for _ in range(10):
            whole.pass_batch()
        expected = whole.published()

    with attempt(tmp_path) as first:
        for _ in range(batches):
            first.pass_batch()
    with attempt(tmp_path) as second:
        stored = batches // 3 * 3
        assert second.position == Position(batches=stored, records=2 * stored)
        assert second.account.batches == stored
        assert second.account.rejections["odd"] == stored
        while second.account.batches < 10:
            second.pass_batch()
        second.account.check_conservation()
        assert second.published() == expected


def test_a_crash_between_checkpoints_leaves_the_last_one(tmp_path: Path) -> None:
    """What was written after it is in no file of the folder that counts."""
    with attempt(tmp_path) as first:
        for _ in range(5):
            first.pass_batch()
        shutil.copytree(tmp_path / "checkpoint", tmp_path / "crashed" / "checkpoint")

    with attempt(tmp_path / "crashed") as second:
        assert second.position == Position(batches=3, records=6)
        assert second.output.size == len(b'{"id":0,"score":0.0}\n' * 3)


def test_a_run_that_is_removed_starts_anew(tmp_path: Path) -> None:
    """Its folder is empty."""
    with attempt(tmp_path) as first:
        for _ in range(5):
            first.pass_batch()
        first.checkpoint.remove()

    assert list((tmp_path / "checkpoint").iterdir()) == []
    with attempt(tmp_path) as second:
        assert second.position == Position()


def test_a_checkpoint_whose_files_stay_when_it_is_removed_is_not_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a crash in the middle: another run may begin in the folder."""
    folder = tmp_path / "checkpoint"

    def refuse(*_: object, **__: object) -> Never:
        raise PermissionError(13, "Permission denied")

    with attempt(tmp_path) as first:
        for _ in range(5):
            first.pass_batch()
        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", refuse)
            first.checkpoint.remove()
    assert (folder / "checkpoint.sqlite").exists()

    with open_checkpoint(folder, 3, {"IN": "another"}) as checkpoint:
        second = Attempt(tmp_path, checkpoint)
        with second.output, second.rejects:
            assert second.position == Position()
            assert second.output.size == 0


def test_another_run_is_refused_and_named(tmp_path: Path) -> None:
    """Each difference is, and the checkpoint can still be resumed."""
    folder = tmp_path / "checkpoint"
    with attempt(tmp_path) as first:
        for _ in range(3):
            first.pass_batch()

    other = {"IN": "2 bytes", "--max-records": "5"}
    with pytest.raises(UsageError) as refused, open_checkpoint(folder, 3, other):
        pass

    assert str(refused.value) == (
        f"checkpoint {folder}: is of another run: --batch-size was 7 and is unknown, "
        f"--max-records was unknown and is 5, IN was 1 byte and is 2 bytes; run the "
        f"same command again, or remove the folder to start anew"
    )
    with attempt(tmp_path) as second:
        assert second.position == Position(batches=3, records=6)


def test_a_folder_in_use_is_refused_with_the_process(tmp_path: Path) -> None:
    """Two runs must not write to one checkpoint."""
    folder = tmp_path / "checkpoint"
    with attempt(tmp_path):
        with (
            pytest.raises(UsageError) as refused,
            open_checkpoint(folder, 3, IDENTITY),
        ):
            pass

        assert str(refused.value) == (
            f"checkpoint {folder}: is in use by process {os.getpid()}; give each run a "
            f"folder of its own"
        )


def test_a_folder_is_free_once_its_process_is_dead(tmp_path: Path) -> None:
    """Although the process could not take its number away."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "pid").write_text("1")

    with open_checkpoint(folder, 3, IDENTITY):
        assert (folder / "pid").read_text() == str(os.getpid())
    assert not (folder / "pid").exists()


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    """What to do about it as well."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "checkpoint.sqlite").write_bytes(b"no database" * 100)

    with pytest.raises(SinkError) as damaged, open_checkpoint(folder, 3, IDENTITY):
        pass

    assert str(damaged.value) == (
        f"checkpoint {folder}: is damaged: file is not a database; remove the folder "
        f"to start anew"
    )


def test_a_folder_that_cant_be_made_is_named(tmp_path: Path) -> None:
    """A file is in its place."""
    (tmp_path / "file").touch()

    with (
        pytest.raises(UsageError, match=r"checkpoint .*/file: file exists"),
        open_checkpoint(tmp_path / "file", 3, IDENTITY),
    ):
        pass


def test_a_checkpoint_that_cant_be_written_is_named(tmp_path: Path) -> None:
    """Somebody has made a table of it unusable."""
    folder = tmp_path / "checkpoint"
    with attempt(tmp_path, every=1) as first:
        first.pass_batch()
        with closing(sqlite3.connect(folder / "checkpoint.sqlite")) as other, other:
            other.execute("DROP TABLE progress")

        with pytest.raises(SinkError) as failed:
            first.pass_batch()

    assert str(failed.value) == (
        f"can't write checkpoint {folder}: no such table: progress"
    )


def test_a_database_that_cant_be_opened_is_named(tmp_path: Path) -> None:
    """A folder is in its place."""
    (tmp_path / "checkpoint.sqlite").mkdir()

    with (
        pytest.raises(SinkError, match="unable to open database file"),
        open_checkpoint(tmp_path, 3, IDENTITY),
    ):
        pass
