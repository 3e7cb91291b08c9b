"""Finding a workload by its name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.workloads import BUILT_IN, workload_named


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in an empty folder; forget what is put on the path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("mine", "fractions"):
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.mark.parametrize("name", BUILT_IN)
def test_ours_are_found_by_name(name: str) -> None:
    """And know it, so that a server process finds them too."""
    assert workload_named(name).name == name


def test_a_module_of_the_current_folder_is_found(tmp_path: Path) -> None:
    """As a user's own is who has installed nothing; it is named by where it is."""
    (tmp_path / "mine.py").write_text(
        "from pipeline.workloads.events import EVENTS as MINE\n"
    )

    assert workload_named("mine:MINE").name == "mine:MINE"


def test_nothing_in_the_folder_takes_the_place_of_what_is_installed(
    tmp_path: Path,
) -> None:
    """The folder is looked at last."""
    (tmp_path / "fractions.py").write_text("1 / 0")

    with pytest.raises(UsageError, match="can't be imported: AttributeError"):
        workload_named("fractions:MINE")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("mine", "", "not known; there is events, mixed, work-items, and package"),
        ("mine:", "", "not known"),
        ("mine:MINE", "1 / 0", r"ZeroDivisionError: division by zero \(.*mine.py:1\)"),
        (
            "mine:MINE",
            "import nothing_here",
            r"No module named 'nothing_here' \(.*:1\)",
        ),
        ("mine:MINE", "MINE = 1", "is a int, not a Workload"),
        ("mine:MINE", "", r"AttributeError: module 'mine' has no attribute 'MINE'$"),
        ("else_where:MINE", "", r"No module named 'else_where'$"),
        (
            "mine:MINE",
            "from pipeline import stage\n\n@stage\ndef f(x): ...",
            r"^workload 'mine:MINE': stage f: its function must be .*mine.py:3\)$",
        ),
    ],
)
def test_a_workload_that_can_not_be_had_says_why(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    """In one line: not known, not importable (and at which line), or something else."""
    (tmp_path / "mine.py").write_text(text)

    with pytest.raises(UsageError, match=message) as raised:
        workload_named(name)

    assert "\n" not in str(raised.value)
