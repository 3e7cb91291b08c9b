"""The demo compares languages."""

from __future__ import annotations

import subprocess
import sys

from tests.stages.conftest import NAMES, built


def test_the_demo_has_a_row_for_each_language_at_each_batch_size() -> None:
    """And for the mix; all of them give the same results."""
    for name in (*NAMES, "rust-debug"):
        built(name)

    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "demo", "polyglot", "--events", "300"],
        capture_output=True,
        check=True,
        text=True,
    )

    rows = [line.split() for line in done.stdout.splitlines()]
    measured = [
        (row[0], row[1]) for row in rows if row and row[0] in {"1", "100", "1,000"}
    ]
    languages = ["python", "go", "rust", "rust-debug", "typescript", "a"]
    assert measured == [
        (size, name) for size in ("1", "100", "1,000") for name in languages
    ]
    assert done.stdout.splitlines()[-1] == "All results are the same, byte for byte."
