"""Find the two revisions of a gate, and check each out into its own folder."""

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

#: Names of the main branch, in order of preference.
_MAINS = ("main", "origin/main", "master", "origin/master")
_US = "pytest-pipeline gate"


@dataclass(frozen=True)
class Revision:
    """A commit, and its name in messages."""

    commit: str
    name: str


class Repository:
    """The git repository of a folder.

    Raises:
        GateUsageError: git is not installed, or the folder is in no repository.
    """

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
        """Return the revision to compare against.

        Raises:
            GateUsageError: The revision does not exist.
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
        return subprocess.run(  # noqa: S603 - fixed words and a revision
            ["git", *words],  # noqa: S607 - the user's git
            cwd=self._folder,
            env={**os.environ, **(environ or {})},
            capture_output=True,
            check=False,
            text=True,
        )
