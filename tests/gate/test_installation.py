"""How a project is installed, by its layout."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

import pytest

from pytest_pipeline.gate.errors import GateFaultError
from pytest_pipeline.gate.installation import installation_of
from pytest_pipeline.gate.poetry_requirements import poetry_requirements

NEEDED = ["pytest", "pytest-benchmark"]


def install(folder: Path, files: Mapping[str, str], below: str = ".") -> list[str]:
    """Return what is installed: arguments of pip, and then lines of requirements."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(textwrap.dedent(text))
    found = installation_of(folder, Path(below), folder / "ours.txt")
    start, _, words = found.command.partition("--quiet ")
    assert start == "python -m pip install --disable-pip-version-check "
    lines = found.requirements.splitlines()
    assert lines[:2] == NEEDED
    own = words.removesuffix(f"-r {folder / 'ours.txt'}").split()
    return [word.strip("'") for word in own] + lines[2:]


PROJECT = "[project]\nname = 'x'\n"
EXTRAS = "optional-dependencies = "
BUILT = f"[build-system]\nrequires = []\n{PROJECT}"


@pytest.mark.parametrize(
    ("files", "installed"),
    [
        ({}, []),
        ({"pyproject.toml": "[tool.pytest.ini_options]"}, []),
        ({"requirements.txt": "a", "requirements-dev.txt": "b"},
         ["-r", "requirements.txt", "-r", "requirements-dev.txt"]),
        ({"pyproject.toml": PROJECT}, ["."]),
        ({"pyproject.toml": BUILT + EXTRAS + "{Testing = [], docs = []}"},
         [".[Testing]"]),
        ({"pyproject.toml": BUILT + EXTRAS + "{dev = [], bench = []}"},
         [".[dev,bench]"]),
        ({"pyproject.toml": BUILT + EXTRAS + "{dev = [], test = []}"},
         [".[test]"]),
        ({"setup.py": "setup(extras_require={'tests': [], 'doc': []})"}, [".[tests]"]),
        ({"setup.py": "", "setup.cfg": "[options.extras_require]\ntest = a\nx = b"},
         [".[test]"]),
        ({"setup.py": "", "requirements/pytest.txt": "a", "requirements/doc.txt": "b"},
         [".", "-r", "requirements/pytest.txt"]),
        ({"setup.py": "", "test-requirements.txt": "a", "dev_requirements.txt": "b"},
         [".", "-r", "test-requirements.txt"]),
        ({"pyproject.toml": BUILT + "[dependency-groups]\nDev = [{include-group = "
          "'t.s'}]\nt_s = ['a', {include-group = 'Dev'}]\nbench = ['b']"},
         [".", "a", "b"]),
        ({"pyproject.toml": PROJECT + "dependencies = ['a']\n[tool.uv]\n"
          "dev-dependencies = ['b']"}, ["a", "b"]),
        ({"pyproject.toml": "[tool.poetry]\nname = 'x'\n"
          "[tool.poetry.group.test.dependencies]\na = '^1.2'\n"
          "[tool.poetry.group.docs.dependencies]\nb = '*'"}, [".", "a>=1.2,<2"]),
        ({"pyproject.toml": "[tool.poetry]\npackage-mode = false\n"
          "[tool.poetry.dependencies]\npython = '^3.11'\na = '*'\n"
          "[tool.poetry.dev-dependencies]\nb = '~1'"}, ["a", "b>=1,<2"]),
        ({"pyproject.toml": BUILT + "[tool.hatch.envs.default]\ndependencies = ['a', "
          "'b @ {root:uri}/b']\n[tool.hatch.envs.docs]\ndependencies = ['c']"},
         [".", "a"]),
        ({"pyproject.toml": BUILT + "[tool.pdm.dev-dependencies]\n"
          "test = ['a', '-e x']"},
         [".", "a"]),
    ],
)  # fmt: skip
def test_a_project_is_installed_with_what_its_tests_need(
    tmp_path: Path, files: Mapping[str, str], installed: list[str]
) -> None:
    """In each layout; what is for other purposes is left out."""
    assert install(tmp_path, files) == installed


def test_the_project_around_the_tests_is_installed(tmp_path: Path) -> None:
    """In a repository with several."""
    files = {
        "pyproject.toml": BUILT,
        "packages/one/pyproject.toml": BUILT,
        "packages/one/benchmarks/test_it.py": "",
    }
    assert install(tmp_path, files, "packages/one/benchmarks") == ["./packages/one"]


def test_a_file_that_cant_be_read_is_named(tmp_path: Path) -> None:
    """It is no fault of the gate."""
    with pytest.raises(GateFaultError, match=r"pyproject\.toml: can't be read: "):
        install(tmp_path, {"pyproject.toml": "[project"})


@pytest.mark.parametrize(
    ("given", "requirement"),
    [
        ("*", "a"),
        ("1.2", "a==1.2"),
        ("^1.2.3", "a>=1.2.3,<2"),
        ("^0.2.3", "a>=0.2.3,<0.3"),
        ("^0.0.3", "a>=0.0.3,<0.0.4"),
        ("^0", "a>=0,<1"),
        ("~1.2.3", "a>=1.2.3,<1.3"),
        ("~1", "a>=1,<2"),
        ("1.*", "a==1.*"),
        (">=1, <3", "a>=1,<3"),
        (">=1 <3", "a>=1,<3"),
        ("^1.0 || ^2.0", "a>=1.0,<2"),
        ({"version": "^1", "extras": ["x", "y"]}, "a[x,y]>=1,<2"),
        ({"version": "*", "python": "<3.12"}, "a ; (python_version < '3.12')"),
        ({"version": "1", "markers": "os_name == 'nt'"}, "a==1 ; (os_name == 'nt')"),
        ({"git": "https://x/a", "tag": "v1"}, "a @ git+https://x/a@v1"),
    ],
)
def test_constraints_of_poetry_are_translated(
    given: str | dict[str, object], requirement: str
) -> None:
    """To requirements that pip reads."""
    assert poetry_requirements({"python": "^3.11", "a": given}) == [requirement]


def test_paths_of_poetry_are_left_out() -> None:
    """They name other projects of the repository."""
    assert poetry_requirements({"a": {"path": "../a"}, "b": "*"}) == ["b"]
