"""Finding revisions, and checking them out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_pipeline.gate.errors import GateUsageError
from pytest_pipeline.gate.options import MERGE_BASE
from pytest_pipeline.gate.revisions import Repository
from tests.gate.project import Project


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """The gate's temporary folder."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def test_the_merge_base_is_where_the_branch_left_main(project: Project) -> None:
    """Not the current main."""
    base = project.commit("a.txt", "1")
    project.git("checkout", "-q", "-b", "change")
    project.commit("b.txt", "1")
    project.git("checkout", "-q", "main")
    project.commit("a.txt", "2")
    project.git("checkout", "-q", "change")

    old = Repository(project.folder).old(MERGE_BASE)

    assert old.commit == base
    assert old.name == f"the merge base with main ({base[:8]})"


def test_uncommitted_changes_are_part_of_the_new_revision(
    project: Project, scratch: Path
) -> None:
    """Also untracked files, but not ignored ones. The index is not touched."""
    project.commit(".gitignore", "ignored.txt")
    project.commit("a.txt", "1")
    project.write("a.txt", "2")
    project.write("new.txt", "3")
    project.write("ignored.txt", "4")
    status = project.git("status", "--short")
    repository = Repository(project.folder)

    revision = repository.new(scratch)
    with repository.checked_out(revision, scratch / "new"):
        there = {path.name for path in (scratch / "new").glob("*.txt")}
        assert there == {"a.txt", "new.txt"}
        assert (scratch / "new" / "a.txt").read_text() == "2"

    assert revision.name.endswith("with the changes not committed")
    assert project.git("status", "--short") == status
    assert not (scratch / "new").exists()
    assert len(project.git("worktree", "list").splitlines()) == 1


def test_tracked_files_that_git_ignores_are_included(
    project: Project, scratch: Path
) -> None:
    """For example generated code, added with --force."""
    project.write("ignored.txt", "1")
    project.git("add", "--all")
    project.commit(".gitignore", "ignored.txt")
    project.write("ignored.txt", "2")
    repository = Repository(project.folder)

    with repository.checked_out(repository.new(scratch), scratch / "new"):
        assert (scratch / "new" / "ignored.txt").read_text() == "2"


def test_without_changes_the_new_revision_is_head(
    project: Project, scratch: Path
) -> None:
    """No new commit is made, so it equals the old revision HEAD."""
    head = project.commit("a.txt", "1")
    repository = Repository(project.folder)

    assert repository.new(scratch).commit == repository.old("HEAD").commit == head


def test_a_checkout_is_removed_after_an_error(project: Project, scratch: Path) -> None:
    """An interrupt too."""
    project.commit("a.txt", "1")
    repository = Repository(project.folder)

    with (
        pytest.raises(KeyboardInterrupt),
        repository.checked_out(repository.old("HEAD"), scratch / "old"),
    ):
        raise KeyboardInterrupt

    assert not (scratch / "old").exists()
    assert len(project.git("worktree", "list").splitlines()) == 1


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (
            lambda found, _: found.old("nowhere"),
            "revision nowhere: unknown here; fetch",
        ),
        (
            lambda found, _: found.old("a.txt"),
            "revision a.txt: unknown here; it is a path",
        ),
        (lambda found, _: found.old(MERGE_BASE), "no merge base with main here"),
    ],
)
def test_an_unknown_revision_is_named(
    project: Project,
    scratch: Path,
    ask: Callable[[Repository, Path], object],
    said: str,
) -> None:
    """With a hint what to do."""
    project.commit("a.txt", "1")
    project.git("branch", "-m", "main", "trunk")

    with pytest.raises(GateUsageError) as caught:
        ask(Repository(project.folder), scratch)

    assert said in str(caught.value)
    assert caught.value.exit_code == 4


def test_a_repository_without_a_commit_is_refused(
    project: Project, scratch: Path
) -> None:
    """There is nothing to compare against."""
    with pytest.raises(GateUsageError, match="has no commit yet"):
        Repository(project.folder).new(scratch)


def test_a_folder_outside_a_repository_is_refused(tmp_path: Path) -> None:
    """The message names it."""
    with pytest.raises(GateUsageError, match=f"^{tmp_path}: is in no git repository"):
        Repository(tmp_path)
