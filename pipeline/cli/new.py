"""The command `pipeline new`."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

import click

from pipeline.errors import SinkError, UsageError, one_line

_PROJECT = Path(__file__).with_name("new-project")
# The name of the project in its files.
_NAME = "new-project"
# File names here must not begin with a dot, or tools would take them for our own.
_DOT = "dot-"
_SKIPPED = "__pycache__"
#: What packages may be called: https://packaging.python.org/specifications/name-normalization
_VALID = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


@click.command(short_help="Make a project with a workload, tests and a gate.")
@click.argument("folder", metavar="NAME", type=click.Path(path_type=Path))
def new(folder: Path) -> None:
    """Make the folder NAME with a small project that works as it is.

    It has a proto, a workload, tests, a benchmark, a workflow that gates pull requests,
    and a README that tells how to go on. NAME may be a path. It must not exist yet, or
    be an empty folder.

    Exit codes: 0 success, 1 the folder can't be written, 2 wrong usage.
    """
    name = folder.absolute().name
    if not _VALID.fullmatch(name):
        raise UsageError(
            f"{name!r}: is no name for a project; use letters, digits and -, and begin "
            f"and end with a letter or digit"
        )
    if folder.is_symlink() or (folder.exists() and not _is_empty(folder)):
        raise UsageError(f"{folder}: is there already; give another name")
    try:
        _write(folder, name)
    except OSError as error:
        raise SinkError(f"can't write {folder}: {one_line(error)}") from error
    click.echo(f"Made {folder}. Go on with its README.md:")
    click.echo(f"  cd {folder}")
    click.echo("  pip install -e '.[test]' && pytest")


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _write(folder: Path, name: str) -> None:
    """Write the project beside its place, and rename it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=folder.parent))
    try:
        for source in sorted(_PROJECT.rglob("*")):
            if source.is_dir() or _SKIPPED in source.parts:
                continue
            parts = source.relative_to(_PROJECT).parts
            target = draft.joinpath(*(re.sub(f"^{_DOT}", ".", part) for part in parts))
            target.parent.mkdir(parents=True, exist_ok=True)
            text = source.read_text(encoding="utf-8")
            target.write_text(text.replace(_NAME, name), encoding="utf-8")
        draft.chmod(0o755)
        draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
