"""The standard streams of this process: who owns them, and what they can show."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
from io import FileIO
from typing import IO

_FALLBACK = "pipeline.fallback"
_IN_ASCII = str.maketrans(
    {"→": "->", "×": "x", "–": "-", "−": "-", "…": "...", "µ": "u"}
)


def claim_standard_output() -> FileIO:
    """Take standard output for this package alone, and return it as a private file.

    From then on descriptor 1 is standard error. Everything that prints, such as a stage
    function, ``os.system`` or a C library, in this process or in one that it starts,
    then writes to standard error. The caller closes the file.

    What was printed before but is still buffered goes to standard error too.

    Raises:
        OSError: Descriptor 1 or 2 is closed; see `open_missing_streams`.
    """
    private = os.dup(1)
    os.dup2(2, 1)
    before = sys.stdout
    # By line, as standard error is, so that a log is in order; and a text that the
    # encoding lacks must not fail the function that prints it. A new object, since the
    # old one may believe that its file can seek.
    sys.stdout = open(  # noqa: SIM115 - it lives as long as the process
        1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False
    )
    with contextlib.suppress(OSError, ValueError, AttributeError):
        before.flush()
    return FileIO(private, "w")


def open_missing_streams() -> None:
    """Open the null device in place of each standard stream that is closed.

    Otherwise the next file to be opened would get its number, and whatever prints to
    standard output would write into that file. Call this first in a process.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)


def use_fallback() -> None:
    """Let both output streams show what their encoding lacks in another way."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_FALLBACK)


def print_out(text: str) -> Exception | None:
    """Print ``text`` to standard output at once.

    Returns:
        What prevented it, after which standard output is the null device; None if the
        text was printed, or if standard output was closed when the process started.
    """
    out = sys.stdout
    if out is None:
        return None
    encoding = getattr(out, "encoding", None) or "utf-8"
    try:
        out.write(text.encode(encoding, _FALLBACK).decode(encoding))
        out.flush()
    except (OSError, ValueError) as error:
        drop_output(out)
        return error
    return None


def drop_output(stream: IO[str]) -> None:
    """Send what is still buffered for ``stream``, and what follows, nowhere.

    Otherwise Python would fail to flush it at exit, and exit with 120.
    """
    with contextlib.suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def _fallback(error: UnicodeError) -> tuple[str, int]:
    """Replace characters: by ASCII that looks alike, or else by a question mark.

    A byte of a file name that is not UTF-8 is shown by its number.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    shown = [
        f"\\x{ord(character) - 0xDC00:02x}"
        if "\udc80" <= character <= "\udcff"
        else character.translate(_IN_ASCII)
        for character in error.object[error.start : error.end]
    ]
    text = "".join(shown)
    return text.encode("ascii", "replace").decode(), error.end


codecs.register_error(_FALLBACK, _fallback)
