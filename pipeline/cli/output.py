"""Print on standard output and error, whatever state they are in."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterable
from io import FileIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self, cast

import click

from pipeline.errors import SinkError, one_line
from pipeline.interrupts import uninterrupted
from pipeline.standard_streams import claim_standard_output, drop_output, print_out

if TYPE_CHECKING:
    from rich.console import Console

STANDARD_OUTPUT = "-"

_BLOCK_BYTES = 256 * 1024


class _StandardOutput:
    """Standard output for rich, which would exit by itself if the reader is gone.

    A reader that is gone, as of `| head`, has what it wants; the rest is dropped.
    """

    def write(self, text: str, /) -> int:
        """Print ``text``; SinkError if that fails and somebody might still read."""
        error = print_out(text)
        if error is not None and not isinstance(error, BrokenPipeError):
            raise SinkError(f"can't write standard output: {one_line(error)}")
        return len(text)

    def __init__(self) -> None:
        #: rich chooses its characters by it.
        self.encoding = getattr(sys.stdout, "encoding", None) or "utf-8"

    def flush(self) -> None:
        """Do nothing: each text is printed at once."""

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return sys.stdout is not None and sys.stdout.isatty()

    def fileno(self) -> int:
        """Return its descriptor."""
        return sys.stdout.fileno()


class ResultPipe:
    """Standard output as the place of a result.

    Until `publish`, whatever prints to standard output prints to standard error. The
    result is written to a temporary file first: it is printed whole or not at all.

    Raises:
        SinkError: Standard output is closed.
    """

    def __init__(self) -> None:
        _check_open()
        self._folder = tempfile.TemporaryDirectory(
            prefix="pipeline-output-", ignore_cleanup_errors=True
        )
        #: The file that takes the result.
        self.draft = Path(self._folder.name).resolve() / "result"
        self._out = claim_standard_output()

    def publish(self) -> None:
        """Print the result; a reader that is gone has what it wants.

        Raises:
            SinkError: It can't be printed.
        """
        with self.draft.open("rb") as result:
            _write_all(iter(lambda: result.read(_BLOCK_BYTES), b""), self._out)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with uninterrupted():
            with contextlib.suppress(OSError):
                self._out.close()
            self._folder.cleanup()


def print_bytes(chunks: Iterable[bytes]) -> None:
    """Print data to standard output; a reader that is gone has what it wants.

    Raises:
        SinkError: Standard output is closed, or can't be written.
    """
    _check_open()
    _write_all(chunks, sys.stdout.buffer)


def _check_open() -> None:
    if sys.stdout is None:
        raise SinkError("can't write standard output: it is closed")


def _write_all(chunks: Iterable[bytes], out: IO[bytes] | FileIO) -> None:
    try:
        for chunk in chunks:
            # A file without a buffer may take a part of it.
            rest = memoryview(chunk)
            while rest:
                rest = rest[out.write(rest) :]
        out.flush()
    except BrokenPipeError:
        drop_output(sys.stdout)
    except OSError as error:
        drop_output(sys.stdout)
        raise SinkError(f"can't write standard output: {one_line(error)}") from error


def output_console() -> Console:
    """Return a console that prints to standard output.

    It shows what the encoding can show. It raises SinkError if standard output can't be
    written, unless its reader is gone.
    """
    # Imported here because servers print nothing with it.
    from rich.console import Console

    return Console(file=cast("IO[str]", _StandardOutput()), highlight=False)


def error_console() -> Console:
    """Return a console that prints to standard error."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def say(message: str) -> None:
    """Print one line to standard error, if that is possible."""
    try:
        click.echo(f"pipeline: {message}", file=sys.stderr)
    except (OSError, ValueError):
        drop_output(sys.stderr)
