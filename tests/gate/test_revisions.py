"""Finding revisions, and checking them out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_pipeline.gate.errors import GateUsageError
from pytest_pipeline.gate.options import MERGE_BASE
from pytest_pipeline.gate.revisions import Repository
from pytest_pipeline.gate.submodules import check_out_submodules
from tests.gate.project import Project, new_project


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


def test_a_hook_does_not_change_which_repository_is_meant(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder of a linked worktree, where git would take the folder for the top."""
    project.commit("a.txt", "1")
    linked = tmp_path / "linked"
    project.git("worktree", "add", "-q", str(linked), "-b", "other")
    (linked / "below").mkdir()
    monkeypatch.setenv("GIT_DIR", str(project.folder / ".git" / "worktrees" / "linked"))
    monkeypatch.setenv("GIT_INDEX_FILE", "nowhere")
    monkeypatch.setenv("GIT_PREFIX", "below/")

    repository = Repository(linked / "below")

    assert repository.top == linked
    assert {"GIT_DIR", "GIT_INDEX_FILE", "GIT_PREFIX"} <= set(repository.variables)
    (linked / "a.txt").write_text("2")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with repository.checked_out(repository.new(scratch), scratch / "new"):
        assert (scratch / "new" / "a.txt").read_text() == "2"


def test_a_repository_of_the_environment_is_honoured(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the folder itself is in none."""
    project.commit("a.txt", "1")
    monkeypatch.setenv("GIT_DIR", str(project.folder / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))

    assert Repository(tmp_path).top == tmp_path


def test_git_speaks_for_itself(tmp_path: Path) -> None:
    """Where it finds a repository and refuses it."""
    project = new_project(tmp_path / "bare")
    project.git("config", "core.bare", "true")

    with pytest.raises(GateUsageError, match="must be run in a work tree"):
        Repository(project.folder)


def test_a_shallow_clone_is_named_as_the_reason(
    project: Project, tmp_path: Path
) -> None:
    """Jobs have one by default."""
    project.commit("a.txt", "1")
    project.commit("a.txt", "2")
    shallow = tmp_path / "shallow"
    project.git("clone", "-q", "--depth=1", f"file://{project.folder}", str(shallow))

    with pytest.raises(GateUsageError, match=r"shallow clone \(git fetch --unshallow"):
        Repository(shallow).old("HEAD~1")


@pytest.fixture
def with_submodule(project: Project, tmp_path: Path) -> Project:
    """A repository with a submodule, which has a submodule itself."""
    inner = new_project(tmp_path / "inner")
    inner.commit("inner.txt", "1")
    middle = new_project(tmp_path / "middle")
    allow = ("-c", "protocol.file.allow=always")
    middle.git(*allow, "submodule", "add", "-q", str(inner.folder), "deep")
    middle.commit("middle.txt", "1")
    project.git(*allow, "submodule", "add", "-q", str(middle.folder), "vendor/middle")
    project.git(*allow, "submodule", "update", "-q", "--init", "--recursive")
    project.commit("a.txt", "1")
    return project


def test_submodules_are_checked_out_at_the_commit_of_the_revision(
    with_submodule: Project, scratch: Path
) -> None:
    """Submodules of submodules too; the checkout is removed with them."""
    said: list[str] = []
    vendor = Project(with_submodule.folder / "vendor" / "middle")
    vendor.git("config", "user.name", "Somebody")
    vendor.git("config", "user.email", "somebody@localhost")
    vendor.commit("middle.txt", "2")
    with_submodule.commit("a.txt", "2")
    vendor.write("middle.txt", "3")
    repository = Repository(with_submodule.folder)

    for ref, text in (("HEAD~1", "1"), ("HEAD", "2")):
        with repository.checked_out(repository.old(ref), scratch / "old"):
            check_out_submodules(
                repository.top, scratch / "old", repository.variables, said.append
            )
            there = scratch / "old" / "vendor" / "middle"
            assert (there / "middle.txt").read_text() == text
            assert (there / "deep" / "inner.txt").read_text() == "1"
        assert not (scratch / "old").exists()
    assert (
        said
        == ["submodule vendor/middle: has changes not committed; they are left out"] * 2
    )
    assert len(with_submodule.git("worktree", "list").splitlines()) == 1


def test_a_submodule_that_is_not_there_is_named(
    with_submodule: Project, scratch: Path
) -> None:
    """In one line, with the command that fetches it."""
    with_submodule.git("submodule", "deinit", "-q", "--force", "--all")
    repository = Repository(with_submodule.folder)
    said: list[str] = []

    with repository.checked_out(repository.old("HEAD"), scratch / "old"):
        check_out_submodules(
            repository.top, scratch / "old", repository.variables, said.append
        )

    (line,) = said
    assert line == (
        "submodule vendor/middle: is not checked out; "
        "git submodule update --init --recursive"
    )
