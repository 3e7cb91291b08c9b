"""What a side sees of the gate's environment."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from pytest_pipeline.gate import surroundings
from pytest_pipeline.gate.errors import GateUsageError
from pytest_pipeline.gate.surroundings import Surroundings, temporary_parent


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A working tree with a tracked, a new and an ignored file, and two checkouts."""
    for name in ("top/src/old.txt", "top/src/new.txt", "top/.venv/bin/tool"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for name in ("old/src/old.txt", "new/src/old.txt", "new/src/new.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path / "top"


def seen(top: Path, which: str = "old", **environ: str) -> dict[str, str]:
    """Return the variables of a session that was started in the working tree."""
    side = top.parent / which
    return Surroundings(
        environ, top, top, ("GIT_DIR", "GIT_INDEX_FILE"), top.parent / "new"
    ).of_sessions(side, top.parent / f"{which}-environment", top.parent / "temp")


@pytest.mark.parametrize(
    "name",
    [
        *("GIT_DIR", "GIT_INDEX_FILE", "PYTHONHOME", "PYTHONPYCACHEPREFIX"),
        *("PYTHONTRACEMALLOC", "COVERAGE_PROCESS_START", "COV_CORE_SOURCE"),
        *("TOX_ENV_DIR", "PIP_TARGET", "PIP_USER", "UV_PYTHON", "CONDA_PREFIX"),
    ],
)
def test_variables_of_the_outer_environment_are_dropped(top: Path, name: str) -> None:
    """Also those of git that a hook sets."""
    assert name not in seen(top, **{name: "anything"})


def test_other_variables_are_kept(top: Path) -> None:
    """Such as settings of pip, of plugins and of the project."""
    kept = {"PIP_INDEX_URL": "https://x/y", "PYTEST_PLUGINS": "a", "OURS": "b"}
    assert kept.items() <= seen(top, **kept).items()


def test_a_side_has_its_own_environment(top: Path) -> None:
    """Uv and pip install there, and temporary files are its own."""
    found = seen(top, PATH="/usr/bin", VIRTUAL_ENV="/other", TMPDIR=str(top))

    environment = str(top.parent / "old-environment")
    assert found["VIRTUAL_ENV"] == found["UV_PROJECT_ENVIRONMENT"] == environment
    assert found["PATH"] == f"{environment}/bin:/usr/bin"
    assert found["TMPDIR"] == str(top.parent / "temp")


@pytest.mark.parametrize(
    ("given", "there"),
    [
        ("{top}/src/old.txt", "{old}/src/old.txt"),
        # The old side must not see what only the new one has.
        ("{top}/src/new.txt", "{old}/src/new.txt"),
        ("{top}/src:/usr/lib:{top}", "{old}/src:/usr/lib:{old}"),
        ("-O2 -I{top}/src -L /lib", "-O2 -I{old}/src -L /lib"),
        ("file://{top}/src", "file://{old}/src"),
        # git ignores it, so that both sides share it.
        ("{top}/.venv/bin:/usr/bin", "{top}/.venv/bin:/usr/bin"),
        ("{top}ping/src /x{top}/src", "{top}ping/src /x{top}/src"),
    ],
)
def test_paths_of_the_repository_lead_into_the_side(
    top: Path, given: str, there: str
) -> None:
    """Wherever they stand in a value."""
    places = {"top": top, "old": top.parent / "old"}
    assert seen(top, OURS=given.format(**places))["OURS"] == there.format(**places)


def test_relative_paths_are_those_of_the_side(top: Path) -> None:
    """A build runs in another folder, so they become absolute."""
    found = seen(top, PIP_CONSTRAINT="src/old.txt", PYTHONPATH="src:/usr/lib:.venv")

    assert found["PIP_CONSTRAINT"] == str(top.parent / "old/src/old.txt")
    # Of PYTHONPATH, only what the revision has.
    assert found["PYTHONPATH"] == str(top.parent / "old/src")


def test_options_of_pytest_in_the_environment_are_mapped(top: Path) -> None:
    """Without those of the gate, which a side may not know."""
    found = seen(
        top,
        PYTEST_ADDOPTS=f"-q --pipeline-gate-budget 5 --ignore={top}/src '-k a b'",
    )
    assert found["PYTEST_ADDOPTS"] == "-q --ignore=src '-k a b'"


def test_temporary_files_are_outside_of_the_repository(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TMPDIR counts if it is; where nothing is, it must be set."""
    monkeypatch.setattr(tempfile, "tempdir", str(top.parent))
    assert temporary_parent(top) == top.parent

    monkeypatch.setattr(tempfile, "tempdir", str(top / "src"))
    other = temporary_parent(top)
    assert not other.is_relative_to(top)

    monkeypatch.setattr(surroundings, "_TEMPORARY_FOLDERS", (str(top),))
    with pytest.raises(GateUsageError, match=r"TMPDIR .*: is in the repository"):
        temporary_parent(top)
