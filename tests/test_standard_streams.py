"""Printing on a standard output in any state."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pipeline.standard_streams import print_out

PRINTS = """
from pipeline.standard_streams import print_out
print_out("ratio 1.02× → ok \\N{ROCKET}\\n")
print_out("second")
"""


@pytest.mark.parametrize(
    ("redirection", "printed"),
    [
        ("", b"ratio 1.02x -> ok ?\nsecond"),
        (">/dev/full", b""),
        (">&-", b""),
        ("| true", b""),
    ],
)
def test_what_can_not_be_printed_changes_no_exit_code(
    redirection: str, printed: bytes
) -> None:
    """It is shown in ASCII where the encoding has no more, or dropped."""
    done = subprocess.run(
        [
            *("/bin/sh", "-c", f'{{ "$@"; echo $? >&2; }} {redirection}'),
            *("sh", sys.executable, "-c", PRINTS),
        ],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
        timeout=60,
    )

    assert (done.stdout, done.stderr) == (printed, b"0\n")


def test_a_file_name_that_is_not_utf8_is_shown_by_its_bytes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each byte by its number."""
    assert print_out("caf\udce9\n") is None
    assert capsys.readouterr().out == "caf\\xe9\n"
