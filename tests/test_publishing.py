"""Publishing a file whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.errors import SinkError
from pipeline.publishing import Draft


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
