"""Submodules in the checkout of a revision, from those of the working tree.

``git worktree add`` leaves them empty. They are copied from what the working tree has,
without the network, which may need credentials.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

_GITLINK = "160000"


def check_out_submodules(
    source: Path, checkout: Path, variables: Sequence[str], say: Callable[[str], None]
) -> None:
    """Check out the submodules of a revision, at the commits that it names.

    Args:
        source: The working tree, whose submodules have the commits.
        checkout: The checkout of the revision.
        variables: Variables of git that belong to one repository.
        say: Called with a line for each submodule that can't be checked out.
    """
    environ = {
        name: value for name, value in os.environ.items() if name not in variables
    }

    def git(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - fixed words and paths
            ["git", "-c", "core.hooksPath=/dev/null", *words],  # noqa: S607 - the user's git
            cwd=folder,
            env=environ,
            capture_output=True,
            check=False,
            encoding="utf-8",
            errors="surrogateescape",
        )

    def check_out(source: Path, checkout: Path, above: str) -> None:
        for entry in git(checkout, "ls-files", "--stage", "-z").stdout.split("\0"):
            meta, _, name = entry.partition("\t")
            if not meta.startswith(_GITLINK):
                continue
            commit, path = meta.split()[1], f"{above}{name}"
            here, there = source / name, checkout / name
            if not (here / ".git").exists():
                say(
                    f"submodule {path}: is not checked out; "
                    f"git submodule update --init --recursive"
                )
                continue
            copied = git(
                source,
                "clone",
                "-q",
                "--no-checkout",
                "--shared",
                str(here),
                str(there),
            )
            done = (
                copied
                if copied.returncode
                else git(there, "checkout", "-q", "--detach", commit)
            )
            if done.returncode:
                said = (done.stderr.strip().splitlines() or ["unknown to git"])[-1]
                say(f"submodule {path}: is not checked out at {commit[:8]}: {said}")
                continue
            if git(here, "status", "--porcelain").stdout.strip():
                say(f"submodule {path}: has changes not committed; they are left out")
            check_out(here, there, f"{path}/")

    check_out(source, checkout, "")
