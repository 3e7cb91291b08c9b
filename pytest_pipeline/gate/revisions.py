"""Find the two revisions of a gate, and check each out into its own folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pytest_pipeline.gate.errors import GateUsageError
from pytest_pipeline.gate.options import MERGE_BASE

#: Names of the main branch, in order of preference.
_MAINS = ("main", "origin/main", "master", "origin/master")
_US = "pytest-pipeline gate"


# Variables that locate a repository or its index. Others, such as settings of the
# command line, hold for the gate's own commands.
_LOCATING = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_IMPLICIT_WORK_TREE", "GIT_COMMON_DIR"),
    *("GIT_INDEX_FILE", "GIT_PREFIX", "GIT_INTERNAL_SUPER_PREFIX"),
)


@dataclass(frozen=True)
class _Place:
    """Where a repository is."""

    top: Path
    git_folder: Path
    common_folder: Path


@dataclass(frozen=True)
class Revision:
    """A commit, and its name in messages."""

    commit: str
    name: str


class Repository:
    """The git repository of a folder.

    The environment may name another place: in a hook, ``GIT_DIR`` is set, and git then
    takes the current folder for the top. So the repository is found once, and every
    command gets it from here.

    Raises:
        GateUsageError: git is not installed, the folder is in no repository, or git
            refuses it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        if shutil.which("git") is None:
            raise GateUsageError("git: not found, and the gate needs it; install it")
        #: The variables of git that belong to one repository.
        self.variables = _git(
            ("rev-parse", "--local-env-vars"), folder, os.environ
        ).stdout.split()
        kept = {
            name: value for name, value in os.environ.items() if name not in _LOCATING
        }
        place = self._place(kept)
        #: The folder with the working tree.
        self.top = place.top
        self._environ = {
            **kept,
            "GIT_DIR": str(place.git_folder),
            "GIT_WORK_TREE": str(place.top),
        }

    def _place(self, kept: Mapping[str, str]) -> _Place:
        found = _place_of(self._folder, kept)
        if "GIT_DIR" in os.environ or "GIT_WORK_TREE" in os.environ:
            named = _place_of(self._folder, os.environ)
            if isinstance(named, _Place) and (
                not isinstance(found, _Place)
                or "GIT_WORK_TREE" in os.environ
                or named.common_folder != found.common_folder
            ):
                found = named
        if isinstance(found, _Place):
            return found
        if not found or "not a git repository" in found:
            raise GateUsageError(
                f"{self._folder}: is in no git repository; run the gate in one"
            )
        raise GateUsageError(f"git in {self._folder}: {found}")

    def old(self, ref: str) -> Revision:
        """Return the revision to compare against.

        Raises:
            GateUsageError: The revision does not exist.
        """
        if ref == MERGE_BASE:
            return self._merge_base()
        commit = self._try(
            *("rev-parse", "--verify", "--quiet", "--end-of-options"),
            f"{ref}^{{commit}}",
        )
        if commit is None:
            hint = (
                f"it is a path; write it before the option, or the revision as "
                f"--pipeline-gate-against=REF {ref}"
                if (self._folder / ref).exists()
                else f"{self._shallow()}fetch it, or name another"
            )
            raise GateUsageError(f"revision {ref}: unknown here; {hint}")
        return Revision(commit, f"{ref} ({commit[:8]})")

    def new(self, scratch: Path) -> Revision:
        """Return HEAD, or a commit of the working tree if it has changes.

        The commit includes untracked files but none that git ignores. It is on no
        branch, and the user's index is not touched: ``scratch`` holds a temporary one.
        """
        head = self._try("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        if head is None:
            raise GateUsageError(
                f"{self.top}: has no commit yet, so nothing to go against"
            )
        index = {"GIT_INDEX_FILE": str(scratch / "index")}
        self._git("read-tree", "HEAD", environ=index)
        self._git("add", "--all", "--", str(self.top), environ=index)
        tree = self._git("write-tree", environ=index)
        if tree == self._git("rev-parse", "HEAD^{tree}"):
            return Revision(head, f"HEAD ({head[:8]})")
        environ = {
            f"GIT_{who}_{what}": value
            for who in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", _US), ("EMAIL", "gate@localhost"))
        }
        commit = self._git("commit-tree", tree, "-p", head, "-m", _US, environ=environ)
        return Revision(commit, f"HEAD ({head[:8]}) with the changes not committed")

    @contextmanager
    def checked_out(self, revision: Revision, folder: Path) -> Iterator[None]:
        """Check a revision out into ``folder``, and remove it afterwards."""
        self._git(
            # Without the user's hooks, which may install something.
            *("-c", "core.hooksPath=/dev/null", "worktree", "add", "--quiet"),
            *("--detach", "--force", str(folder), revision.commit),
        )
        try:
            yield
        finally:
            # Submodules, which git would not remove.
            shutil.rmtree(folder, ignore_errors=True)
            self._try("worktree", "remove", "--force", "--force", str(folder))

    def _merge_base(self) -> Revision:
        for main in _MAINS:
            commit = self._try("merge-base", "HEAD", main)
            if commit is not None:
                return Revision(commit, f"the merge base with {main} ({commit[:8]})")
        raise GateUsageError(
            f"{self.top}: HEAD has no merge base with {_MAINS[0]} here; "
            f"{self._shallow()}fetch the whole history, or name a revision"
        )

    def _shallow(self) -> str:
        """Return a remark if the history is cut off, as CI jobs do by default."""
        if self._try("rev-parse", "--is-shallow-repository") != "true":
            return ""
        return "this is a shallow clone (git fetch --unshallow); "

    def _git(self, *words: str, environ: dict[str, str] | None = None) -> str:
        done = self._run(words, environ)
        if done.returncode:
            said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
            raise GateUsageError(f"git {words[0]} in {self._folder}: {said}")
        return done.stdout.strip()

    def _try(self, *words: str) -> str | None:
        done = self._run(words, None)
        return None if done.returncode else done.stdout.strip()

    def _run(
        self, words: Sequence[str], environ: dict[str, str] | None
    ) -> subprocess.CompletedProcess[str]:
        return _git(words, self._folder, {**self._environ, **(environ or {})})


def _place_of(folder: Path, environ: Mapping[str, str]) -> _Place | str:
    """Return where git finds a repository, or what it says if it finds none."""
    asked = ("--show-toplevel", "--absolute-git-dir", "--git-common-dir")
    done = _git(("rev-parse", *asked), folder, environ)
    lines = done.stdout.splitlines()
    if done.returncode or len(lines) != len(asked):
        return " ".join(done.stderr.split())
    top, git_folder, common_folder = (folder / line for line in lines)
    return _Place(top, git_folder, common_folder.resolve())


def _git(
    words: Sequence[str], folder: Path, environ: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - fixed words and a revision
        ["git", *words],  # noqa: S607 - the user's git
        cwd=folder,
        # Messages in the language that this module reads.
        env={**environ, "LC_ALL": "C"},
        capture_output=True,
        check=False,
        encoding="utf-8",
        errors="surrogateescape",
    )
