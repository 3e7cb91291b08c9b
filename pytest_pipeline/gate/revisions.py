"""The two revisions of a gate, each checked out in a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pytest_pipeline.gate.errors import GateUsageError
from pytest_pipeline.gate.options import MERGE_BASE

#: Where the branch that changes go to may be.
_MAINS = ("main", "origin/main", "master", "origin/master")
_US = "pytest-pipeline gate"


@dataclass(frozen=True)
class Revision:
    """A commit, and how it is named to a reader."""

    commit: str
    name: str


class Repository:
    """The repository that a folder is in; raises GateUsageError where it is in none."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        if shutil.which("git") is None:
            raise GateUsageError("git: not found, and the gate needs it; install it")
        top = self._try("rev-parse", "--show-toplevel")
        if top is None:
            raise GateUsageError(
                f"{folder}: is in no git repository; run the gate in one"
            )
        self.top = Path(top)

    def old(self, ref: str) -> Revision:
        """Return the revision to go against.

        Raises GateUsageError where there is none of that name.
        """
        if ref == MERGE_BASE:
            return self._merge_base()
        commit = self._try("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
        if commit is None:
            hint = (
                f"it is a path; write it before the option, or the revision as "
                f"--pipeline-gate-against=REF {ref}"
                if (self._folder / ref).exists()
                else "fetch it, or name another"
            )
            raise GateUsageError(f"revision {ref}: unknown here; {hint}")
        return Revision(commit, f"{ref} ({commit[:8]})")

    def new(self, scratch: Path) -> Revision:
        """Return HEAD, or a commit of what the working tree has on top of it.

        Files that git ignores are no part of it. The commit is of no branch, and the
        index stays as it is: ``scratch`` has one of its own.
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
        """Have the files of a revision in ``folder``, and no longer than that."""
        self._git(
            # No hook of the user's, such as one that installs something.
            *("-c", "core.hooksPath=/dev/null", "worktree", "add", "--quiet"),
            *("--detach", "--force", str(folder), revision.commit),
        )
        try:
            yield
        finally:
            self._try("worktree", "remove", "--force", "--force", str(folder))

    def _merge_base(self) -> Revision:
        for main in _MAINS:
            commit = self._try("merge-base", "HEAD", main)
            if commit is not None:
                return Revision(commit, f"the merge base with {main} ({commit[:8]})")
        raise GateUsageError(
            f"{self.top}: HEAD has no merge base with {_MAINS[0]} here; fetch the "
            f"whole history, or name a revision"
        )

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
        self, words: tuple[str, ...], environ: dict[str, str] | None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - no words but ours and a revision
            ["git", *words],  # noqa: S607 - the user's git
            cwd=self._folder,
            env={**os.environ, **(environ or {})},
            capture_output=True,
            check=False,
            text=True,
        )
