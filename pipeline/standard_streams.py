"""The standard streams of this process: which of them are the user's."""

from __future__ import annotations

import io
import os
import sys
from io import FileIO


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
    if isinstance(sys.stdout, io.TextIOWrapper):
        # By line, as in standard error, so that a log is in order; and a text that the
        # encoding lacks must not fail the function that prints it.
        sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
        sys.stdout.flush()
    return FileIO(private, "w")


def open_missing_streams() -> None:
    """Open the null device in place of each standard stream that is closed.

    Otherwise the next file to be opened would get its number, and whatever prints to
    standard output would write into that file. Call this first in a process.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
