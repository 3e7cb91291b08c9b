"""The README tells the truth: its commands run, and its tables are complete."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from pipeline.accounting import RunReport
from pipeline.workloads.events.parse import REASONS

README = (Path(__file__).parent.parent / "README.md").read_text()


def section(title: str) -> str:
    """Return what stands below a heading."""
    return re.split(r"^## ", README.split(f"## {title}\n")[1], flags=re.MULTILINE)[0]


def first_column(text: str) -> list[str]:
    """Return the code words in the first column of every table."""
    cells = re.findall(r"^\| (`[^|]*`) \|", text, flags=re.MULTILINE)
    return [word for cell in cells for word in re.findall(r"`([^`]+)`", cell)]


def test_the_commands_for_a_file_run_as_they_stand(tmp_path: Path) -> None:
    """Each line of the block ends well and leaves the files that it names."""
    (block,) = re.findall(r"```sh\n(.*?)```", section("Run a file"), flags=re.DOTALL)

    for line in block.splitlines():
        program, *arguments = shlex.split(line)
        assert program == "pipeline"
        done = subprocess.run(
            [sys.executable, "-m", "pipeline", *arguments],
            cwd=tmp_path,
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, b"")

    assert {path.name for path in tmp_path.iterdir()} == {
        "events.ndjson",
        "totals.ndjson",
        "rejects.ndjson",
        "report.json",
    }


def test_the_reasons_are_those_of_the_code_in_their_order() -> None:
    """The first that holds is the one reported, so the order matters."""
    words = first_column(section("Run a file"))

    assert [word for word in words if word in REASONS] == list(REASONS)


def test_every_key_of_the_report_is_described() -> None:
    """No key is missing from the table, and the table has no other."""
    words = first_column(section("What a run reports"))

    assert sorted(words) == sorted(RunReport.__struct_fields__)
