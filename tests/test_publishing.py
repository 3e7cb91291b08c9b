"""Publishing a file whole or not at all."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from pipeline.errors import SinkError
from pipeline.publishing import Draft, sweep_drafts


def files_in(folder: Path) -> list[str]:
    """Return the names of what is in a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_the_file_is_there_only_once_it_is_published(tmp_path: Path) -> None:
    """Before ``publish`` there is no such file; after it, it is whole."""
    path = tmp_path / "out"
    with Draft(path) as draft:
        draft.write(b"one ")
        draft.write(b"two")
        before = path.exists()
        draft.publish()

    assert not before
    assert path.read_bytes() == b"one two"
    assert draft.size == 7
    assert files_in(tmp_path) == ["out"]


def test_an_earlier_file_survives_a_draft_that_is_not_published(tmp_path: Path) -> None:
    """Leaving without ``publish``, also by an error, changes and leaves nothing."""
    path = tmp_path / "out"
    path.write_bytes(b"earlier")

    with pytest.raises(RuntimeError), Draft(path) as draft:  # noqa: PT012
        draft.write(b"later")
        raise RuntimeError

    assert path.read_bytes() == b"earlier"
    assert files_in(tmp_path) == ["out"]


def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    """The result can be read by whom a file that was simply opened could be."""
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    with Draft(tmp_path / "out") as draft:
        draft.publish()

    assert (tmp_path / "out").stat().st_mode == ordinary.stat().st_mode


def test_an_earlier_file_keeps_its_permissions_and_its_link(tmp_path: Path) -> None:
    """Publishing through a link replaces what it points at and keeps the mode."""
    target = tmp_path / "target"
    target.write_bytes(b"earlier")
    target.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to(target)

    with Draft(link) as draft:
        draft.write(b"later")
        draft.publish()

    assert link.is_symlink()
    assert target.read_bytes() == b"later"
    assert target.stat().st_mode & 0o777 == 0o640


def test_a_path_that_cannot_be_a_file_is_refused_by_name(tmp_path: Path) -> None:
    """A folder, a missing folder and a device each raise SinkError with the path."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    for path, reason in [
        (tmp_path, "folder"),
        (tmp_path / "missing" / "out", "no such file or directory"),
        (pipe, "not a regular file"),
    ]:
        with pytest.raises(SinkError, match=f"{path}: .*{reason}"):
            Draft(path)


#: Dies with two drafts of the file that it is given, after it has told so.
DIE = """
import os, sys
from pipeline.publishing import Draft
drafts = [Draft(sys.argv[1]), Draft(sys.argv[1])]
drafts[0].write(b"some")
drafts[1].seal()
os.kill(os.getpid(), 9)
"""


def test_drafts_of_a_process_that_died_are_removed_by_the_next_draft(
    tmp_path: Path,
) -> None:
    """Sealed ones, too."""
    path = tmp_path / "out"
    subprocess.run([sys.executable, "-c", DIE, path], check=False)
    left = files_in(tmp_path)

    with Draft(path) as draft:
        during = files_in(tmp_path)
        draft.publish()

    assert len(left) == 2
    assert len(during) == 1
    assert during[0] not in left
    assert files_in(tmp_path) == ["out"]


def test_drafts_of_a_living_process_stay(tmp_path: Path) -> None:
    """Whether they are sealed or not: each is published whole."""
    path = tmp_path / "out"
    with Draft(path) as first, Draft(path) as second:
        first.seal()
        with Draft(path):
            pass
        sweep_drafts(path)
        assert len(files_in(tmp_path)) == 2
        first.publish()
        second.publish()

    assert files_in(tmp_path) == ["out"]


def test_nothing_is_swept_but_drafts_of_the_same_file(tmp_path: Path) -> None:
    """Servers in other languages name theirs otherwise, and lock nothing."""
    others = {
        ".other.0123456789ab.partial",
        ".out.0123456789ab.partial.gz",
        ".out.0123456789AB.partial",
        ".out.01234567.partial",
        ".out.partial",
        "x.out.0123456789ab.partial",
    }
    for name in others:
        (tmp_path / name).touch()
    (tmp_path / ".out.00000000000a.partial").mkdir()
    os.mkfifo(tmp_path / ".out.00000000000b.partial")
    (tmp_path / ".out.00000000000c.partial").symlink_to(tmp_path / ".out.partial")
    before = files_in(tmp_path)

    sweep_drafts(tmp_path / "out")

    assert files_in(tmp_path) == before


def test_a_draft_that_was_taken_for_left_over_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may find it in the moment before it is locked."""
    path = tmp_path / "out"
    removed: list[Path] = []
    flock = fcntl.flock

    def late_flock(file: IO[bytes], operation: int) -> None:
        if not removed:
            (draft,) = tmp_path.iterdir()
            draft.unlink()
            removed.append(draft)
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", late_flock)
    with Draft(path) as draft:
        draft.write(b"whole")
        draft.publish()

    assert removed
    assert path.read_bytes() == b"whole"


def test_a_file_system_without_locks_has_drafts_that_nobody_sweeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A living one can't be told from a dead one there."""

    def refused(*_: object) -> None:
        raise OSError(95, "operation not supported")

    monkeypatch.setattr(fcntl, "flock", refused)
    path = tmp_path / "out"
    with Draft(path) as draft:
        sweep_drafts(path)
        draft.publish()

    assert files_in(tmp_path) == ["out"]


def test_a_draft_that_cannot_be_removed_does_not_hide_the_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever writes the file next sweeps it."""

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "permission denied")

    path = tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", refused)
        with pytest.raises(RuntimeError, match="the cause"), Draft(path):
            raise RuntimeError("the cause")
    left = files_in(tmp_path)
    sweep_drafts(path)

    assert len(left) == 1
    assert files_in(tmp_path) == []
