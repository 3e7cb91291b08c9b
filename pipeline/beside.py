"""Temporary files beside a file, which tell whether the process that made them lives.

Each is locked by its process until that closes it. The system drops the lock of a
process that dies, so a file that can be locked is left over.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import IO

# Twelve digits: servers in other languages have eight, and lock nothing.
_RANDOM_BYTES = 6
_RANDOM = "[0-9a-f]{12}"


def name_beside(target: Path, kind: str) -> Path:
    """Return a new name beside ``target``: ``.NAME.RANDOM.KIND``."""
    return target.with_name(f".{target.name}.{token_hex(_RANDOM_BYTES)}.{kind}")


def create_beside(target: Path, kind: str) -> tuple[Path, IO[bytes]]:
    """Create a file beside ``target``, locked until it is closed.

    Raises:
        OSError: It can't be created.
    """
    while True:
        path = name_beside(target, kind)
        file = path.open("xb")
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        if path.exists():
            return path, file
        # Another process has locked it first, and removed it as left over.
        file.close()


def left_beside(target: Path, kind: str) -> Iterator[Path]:
    """Yield the files of dead processes beside ``target``, each locked meanwhile.

    A file that can't be looked at, and one on a file system without locks, is taken for
    that of a living process.
    """
    pattern = re.compile(rf"\.{re.escape(target.name)}\.{_RANDOM}\.{re.escape(kind)}")
    try:
        paths = [
            path for path in target.parent.iterdir() if pattern.fullmatch(path.name)
        ]
    except OSError:
        return
    for path in sorted(paths):
        with contextlib.suppress(OSError):
            # A pipe of that name must not make us wait, nor a link lead elsewhere.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
            try:
                if stat.S_ISREG(os.fstat(descriptor).st_mode) and lock(descriptor):
                    yield path
            finally:
                os.close(descriptor)


def sweep_beside(target: Path, kind: str) -> None:
    """Remove the files of dead processes beside ``target``, as far as that works."""
    for path in left_beside(target, kind):
        remove(path)


def remove(path: Path) -> None:
    """Remove a temporary file, if it is there and can be removed.

    What stays is swept by a later run, and no error of cleaning up hides its cause.
    """
    with contextlib.suppress(OSError):
        path.unlink()


def lock(descriptor: int) -> bool:
    """Lock an open file until it is closed, unless another process has locked it.

    Returns:
        Whether it is locked now.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def fsync_folder(folder: Path) -> None:
    """Write the names in a folder to disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
