"""Rejects are published together with their result, wherever a process dies."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import LostStageError, PipelineError, SinkError
from pipeline.publishing import Draft, write_whole
from pipeline.rejects import RejectsFile, settle_left
from pipeline.v1.pipeline_pb2 import Rejection

EARLIER = (b"earlier result", b"earlier rejects")
NEW = (b"new result", b'{"record":7,"stage":"parse","reason":"x"}\n')


class Died(BaseException):
    """What a step of a process that has died raises."""


@contextmanager
def dying(monkeypatch: pytest.MonkeyPatch, after: int) -> Iterator[None]:
    """Let only so many steps that change files happen; the process is dead then."""
    steps = count()

    def limited(step: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if next(steps) >= after:
                raise Died
            return step(*args, **kwargs)

        return call

    with monkeypatch.context() as patched:
        for name in ("rename", "replace", "unlink", "fsync"):
            patched.setattr(os, name, limited(getattr(os, name)))
        yield


def has_died(
    monkeypatch: pytest.MonkeyPatch, after: int, act: Callable[[], None]
) -> bool:
    """Act as a process that dies after so many steps; return whether it did."""
    try:
        with dying(monkeypatch, after):
            act()
    except Died:
        return True
    return False


class Files:
    """The files of a run: its result and its rejects, in folders of their own."""

    def __init__(self, folder: Path) -> None:
        self.result = folder / "results" / "out"
        self.rejects = folder / "rejects" / "out"
        self.result.parent.mkdir()
        self.rejects.parent.mkdir()

    def write(self, result: bytes | None, rejects: bytes | None) -> None:
        """Write what an earlier run has left; None for no file."""
        for path, data in ((self.result, result), (self.rejects, rejects)):
            if data is not None:
                path.write_bytes(data)

    def found(self) -> tuple[bytes | None, bytes | None]:
        """Return what a reader finds."""
        result, rejects = (
            path.read_bytes() if path.exists() else None
            for path in (self.result, self.rejects)
        )
        return result, rejects

    def others(self) -> list[str]:
        """Return the names of all other files."""
        known = (self.result, self.rejects)
        found = [file for path in known for file in path.parent.iterdir()]
        return [file.name for file in found if file not in known]

    def run(self, fail: Callable[[], None] = lambda: None, **options: Any) -> None:
        """Publish a new result and new rejects, as an engine does."""
        options = {"result": self.result} | options
        with RejectsFile(self.rejects, **options) as rejects:
            rejects.add("parse", Rejection(record=7, reason="x"))
            rejects.prepare()
            fail()
            write_whole(self.result, NEW[0])
            rejects.publish()


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """A result and rejects of an earlier run."""
    files = Files(tmp_path)
    files.write(*EARLIER)
    return files


def test_result_and_rejects_are_published_one_after_the_other(files: Files) -> None:
    """Nothing else is left."""
    files.run()

    assert files.found() == NEW
    assert not files.others()


@pytest.mark.parametrize("earlier", [EARLIER, (EARLIER[0], None), (None, None)])
def test_no_reader_finds_earlier_rejects_beside_a_new_result_wherever_a_run_dies(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    earlier: tuple[bytes | None, bytes | None],
) -> None:
    """Afterwards both are from the same run, or the rejects are not there.

    The next run with the same result leaves both of the earlier run, or both of this
    one, and nothing else.
    """
    seen = []
    for steps in count():
        folder = tmp_path / str(steps)
        folder.mkdir()
        files = Files(folder)
        files.write(*earlier)
        if not has_died(monkeypatch, steps, files.run):
            break
        seen.append(files.found())
        settle_left(files.result)

        assert seen[-1] in (earlier, (earlier[0], None), (NEW[0], None), NEW)
        assert files.found() in (earlier, NEW)
        # Whoever opens a draft of a file sweeps those that were not under way yet.
        with Draft(files.result), Draft(files.rejects):
            pass
        assert not files.others()

    assert files.found() == NEW
    # The run died in each state that there is.
    assert set(seen) == {earlier, (earlier[0], None), (NEW[0], None), NEW}


def test_what_a_process_has_begun_to_settle_is_settled_if_it_dies_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever step it dies at, and whichever step the run before has died at."""
    for first in count():
        for second in count():
            folder = tmp_path / f"{first}-{second}"
            folder.mkdir()
            files = Files(folder)
            files.write(*EARLIER)
            died = has_died(monkeypatch, first, files.run)
            settle = partial(settle_left, files.result)
            died_again = has_died(monkeypatch, second, settle)
            settle()

            assert files.found() in (EARLIER, NEW)
            if not died_again:
                break
        if not died:
            break


def test_rejects_that_another_run_has_published_since_are_not_replaced(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has another result, and the same path for its rejects."""
    for steps in count():
        files.write(*EARLIER)
        assert has_died(monkeypatch, steps, files.run)
        if files.found() == (EARLIER[0], None):
            break
        settle_left(files.result)
    files.rejects.write_bytes(b"of another")

    settle_left(files.result)

    assert files.found() == (EARLIER[0], b"of another")
    assert not files.others()


def refuse() -> None:
    """Fail, as a sink that can't write."""
    raise SinkError("can't write it")


def lose() -> None:
    """Fail, as a sink that is lost."""
    raise LostStageError("it is lost")


def test_a_result_that_is_not_published_leaves_the_earlier_rejects(
    files: Files,
) -> None:
    """As it leaves the earlier result."""
    with pytest.raises(SinkError, match="can't write it"):
        files.run(refuse)

    assert files.found() == EARLIER
    assert not files.others()


def test_a_sink_that_is_lost_once_it_has_published_has_its_rejects_published(
    files: Files,
) -> None:
    """Though nobody was told that it has."""

    def publish_and_lose() -> None:
        write_whole(files.result, NEW[0])
        lose()

    with pytest.raises(LostStageError):
        files.run(publish_and_lose)

    assert files.found() == NEW
    assert not files.others()


@pytest.mark.parametrize(("fail", "rejects"), [(refuse, EARLIER[1]), (lose, None)])
def test_where_the_result_is_out_of_sight_the_sinks_word_counts(
    files: Files, fail: Callable[[], None], rejects: bytes | None
) -> None:
    """One that is lost may have published, so that earlier rejects may be wrong."""
    with pytest.raises(PipelineError):
        files.run(fail, result=None)

    assert files.found() == (EARLIER[0], rejects)
    assert not files.others()


def test_rejects_that_cannot_be_published_are_told_beside_a_result_that_is(
    files: Files,
) -> None:
    """The earlier ones do not come back: they belong to another result."""

    def obstruct() -> None:
        files.rejects.mkdir()

    with pytest.raises(
        SinkError, match=r"is a directory; the result is published without its rejects"
    ):
        files.run(obstruct)

    assert files.result.read_bytes() == NEW[0]
    assert not list(files.rejects.iterdir())


def test_a_publication_that_is_under_way_is_left_to_its_process(files: Files) -> None:
    """A run that begins meanwhile does not settle it."""
    during = []

    def begin_another() -> None:
        settle_left(files.result)
        during.append(files.found())

    files.run(begin_another)

    assert during == [(EARLIER[0], None)]
    assert files.found() == NEW


def test_a_manifest_that_is_cut_short_or_says_nothing_is_removed(files: Files) -> None:
    """Its process died before it began, or it is somebody else's."""
    for text in ('["a', "[]", '{"a": 1}', '["a", 1]'):
        manifest = files.result.with_name(f".out.{'0' * 12}.publishing")
        manifest.write_text(text)

        settle_left(files.result)

        assert files.found() == EARLIER
        assert not files.others()


def test_paths_that_are_not_utf8_are_settled_too(tmp_path: Path) -> None:
    """A path on Linux is any bytes."""
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    files = Files(folder)
    files.write(*EARLIER)

    with pytest.raises(SinkError, match="can't write it"):
        files.run(refuse)

    assert files.found() == EARLIER
