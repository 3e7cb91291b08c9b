"""`workload_named` finds built-in and user workloads."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.workloads import BUILT_IN, workload_named


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change to an empty folder; restore the import path afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("mine", "fractions"):
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_workloads_are_found_by_name(name: str) -> None:
    """They carry the name, so that a server process finds them too."""
    assert workload_named(name).name == name


def test_a_module_of_the_current_folder_is_found(tmp_path: Path) -> None:
    """A user need not install a package. The workload's name is its path."""
    (tmp_path / "mine.py").write_text(
        "from pipeline.workloads.events import EVENTS as MINE\n"
    )

    assert workload_named("mine:MINE").name == "mine:MINE"


def test_a_file_in_the_folder_does_not_hide_an_installed_module(
    tmp_path: Path,
) -> None:
    """The current folder is last on the import path."""
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
def test_the_error_for_a_workload_that_is_not_found_says_why(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    """The message is one line. If the module raised, it names file and line."""
    (tmp_path / "mine.py").write_text(text)

    with pytest.raises(UsageError, match=message) as raised:
        workload_named(name)

    assert "\n" not in str(raised.value)
