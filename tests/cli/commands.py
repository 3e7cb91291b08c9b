"""Run the command line in a process, as a user does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SUCCESS, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

COMMAND = (sys.executable, "-m", "pipeline")
GOOD = '{"ts":"2026-01-01T00:00:00Z","type":"click","user":"u","value":10}\n'


def pipeline(
    *arguments: str | Path, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run the command line to its end."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        check=False,
        timeout=180,
    )
