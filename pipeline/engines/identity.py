"""The identity of a run: what must be the same when it resumes from a checkpoint."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from pathlib import Path

from google.protobuf import text_format

import pipeline
from pipeline.engines.base import RunSettings
from pipeline.errors import SourceError, UsageError, one_line
from pipeline.inputs import STANDARD_INPUT, separate_paths
from pipeline.urls import is_url, redacted
from pipeline.workload import Workload

_HEAD_BYTES = 64 * 1024
_HEAD = f"the hash of the first {_HEAD_BYTES} bytes"
_DIGEST_LENGTH = 12


def identity_of(settings: RunSettings) -> dict[str, str]:
    """Return what decides the result of a run, by a name for people.

    Raises:
        UsageError: The input can be read only once.
        SourceError: The input can't be read.
    """
    workload = settings.workload
    return {
        "the version": pipeline.__version__,
        "--workload": workload.name,
        "the code of the workload": _digest_of_module(workload),
        "the source": text_format.MessageToString(settings.source, as_one_line=True),
        "--batch-size": str(settings.batch_size),
        "--max-records": str(settings.max_records),
        "--rejects": "left out" if settings.rejects is None else "given",
        **_identity_of_inputs(settings.input),
    }


def _identity_of_inputs(joined: str) -> dict[str, str]:
    """Return what identifies the input files; nothing if there is none."""
    identity: dict[str, str] = {}
    for path in filter(None, separate_paths(joined)):
        parts = _identity_of_url(path) if is_url(path) else _identity_of_file(path)
        identity |= {f"{part} of {redacted(path)}": it for part, it in parts.items()}
    return identity


def _identity_of_url(url: str) -> dict[str, str]:
    # It needs a package that other runs do not.
    from pipeline.url_files import look_at

    found = look_at(url)
    return {
        "the size": str(found.size),
        "the version": found.version,
        _HEAD: _digest(found.head(_HEAD_BYTES)),
    }


def _identity_of_file(path: str) -> dict[str, str]:
    try:
        if path == STANDARD_INPUT or not _can_be_read_again(Path(path)):
            raise UsageError(
                "--checkpoint: standard input and pipes can be read only once; give a "
                "file"
            )
        with Path(path).open("rb") as file:
            head = file.read(_HEAD_BYTES)
            status = os.fstat(file.fileno())
    except OSError as error:
        raise SourceError(f"can't read {path}: {one_line(error)}") from error
    return {
        "the size": str(status.st_size),
        "the modification time": f"{status.st_mtime_ns} ns",
        "the inode": str(status.st_ino),
        _HEAD: _digest(head),
    }


def _can_be_read_again(path: Path) -> bool:
    """Return whether it is a file, or a folder, which is an error of its own."""
    return stat.S_IFMT(path.stat().st_mode) in {stat.S_IFREG, stat.S_IFDIR}


def _digest_of_module(workload: Workload) -> str:
    """Return a hash of the module that has a user's workload.

    The version stands for the workloads of this package.
    """
    module, colon, _ = workload.name.partition(":")
    path = getattr(sys.modules.get(module), "__file__", None) if colon else None
    return _digest(Path(path).read_bytes()) if path else "built in"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:_DIGEST_LENGTH]
