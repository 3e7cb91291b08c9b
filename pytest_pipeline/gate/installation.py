"""How to install a project with what its tests need, as its files say.

Projects name these dependencies in many places. Taken are the extras, dependency groups
(PEP 735), groups of poetry, pdm and uv, environments of hatch and requirements files
with a name from a short list: those for tests and benchmarks, or those for development
where there is none for tests.
"""

from __future__ import annotations

import configparser
import re
import shlex
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_pipeline.gate.errors import GateFaultError
from pytest_pipeline.gate.poetry_requirements import poetry_requirements

_PIP = "python -m pip install --disable-pip-version-check --quiet"
#: The gate itself needs these. Unpinned: the project may set their versions.
_NEEDED = ("pytest", "pytest-benchmark")

_TESTS = frozenset(
    [
        "test",
        "tests",
        "testing",
        "pytest",
        "unittest",
        "unit-test",
        "unit-tests",
        "test-deps",
        "hatch-test",
        "default",
    ]
)
_BENCHMARKS = frozenset(
    ["bench", "benchmark", "benchmarks", "benchmarking", "perf", "performance"]
)
_DEVELOPMENT = frozenset(["dev", "develop", "development", "devel"])
#: Tables of pyproject.toml whose presence means that pip can install the project.
_INSTALLABLE = ("poetry", "flit")


@dataclass(frozen=True)
class Installation:
    """A command that installs a project, and its words for the user."""

    command: str
    described: str
    #: The contents of the requirements file that the command names.
    requirements: str


@dataclass
class _Found:
    """What a project offers, by the names that its files use."""

    extras: list[str] = field(default_factory=list)
    #: Requirements by the name of their group.
    groups: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    #: Requirements of a project that is no package.
    plain: list[str] = field(default_factory=list)
    is_package: bool = False


def installation_of(checkout: Path, below: Path, requirements: Path) -> Installation:
    """Return how to install the project around a folder of a checkout.

    Args:
        checkout: The files of a revision.
        below: The folder of the tests, relative to it.
        requirements: The path at which a requirements file will be written.

    Raises:
        GateFaultError: Its pyproject.toml can't be read.
    """
    folder = _project_folder(checkout, checkout / below)
    found = _found_in(folder)
    names = _chosen([*found.extras, *found.groups])
    extras = [name for name in found.extras if name in names]
    groups = [name for name in found.groups if name in names]
    files = [] if _has_tests(names) else _chosen_files(found)
    where = str(folder.relative_to(checkout))
    words, described = [], []
    if found.is_package:
        place = "." if where == "." else f"./{where}"
        words.append(place + (f"[{','.join(extras)}]" if extras else ""))
        described.append(words[0])
    if groups:
        described.append(f"groups {', '.join(groups)}")
    for file in files:
        words += ["-r", str(file.relative_to(checkout))]
        described.append(words[-1])
    lines = [*found.plain, *(line for name in groups for line in found.groups[name])]
    words += ["-r", str(requirements)]
    return Installation(
        f"{_PIP} {shlex.join(words)}",
        ", ".join([*described, *_NEEDED]),
        "\n".join([*_NEEDED, *dict.fromkeys(lines)]) + "\n",
    )


def _project_folder(checkout: Path, tests: Path) -> Path:
    """Return the innermost folder around the tests that has a project."""
    for folder in (tests, *tests.parents):
        if any((folder / name).exists() for name in ("pyproject.toml", "setup.py")):
            return folder
        if folder == checkout:
            break
    return checkout


def _found_in(folder: Path) -> _Found:
    found = _Found()
    data: dict[str, Any] = {}
    file = folder / "pyproject.toml"
    if file.exists():
        try:
            data = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise GateFaultError(f"{file}: can't be read: {error}") from error
    project, tools = _table(data, "project"), _table(data, "tool")
    is_virtual = _is_virtual(data, tools)
    found.is_package = not is_virtual and bool(
        project
        or "build-system" in data
        or any(name in tools for name in _INSTALLABLE)
        or (folder / "setup.py").exists()
    )
    if is_virtual:
        found.plain += _texts(project.get("dependencies"))
        found.plain += poetry_requirements(_table(tools, "poetry", "dependencies"))
    elif not found.is_package:
        base = folder / "requirements.txt"
        if base.exists():
            found.files[""] = base
    found.extras += _extras(folder, project, tools) if found.is_package else []
    for name, lines in _groups(data, tools):
        found.groups.setdefault(name, []).extend(lines)
    for path in (
        *sorted(folder.glob("*requirements*.txt")),
        *sorted(folder.glob("requirements/*.txt")),
    ):
        words = [word for word in _normal(path.stem).split("-") if word]
        name = "-".join(word for word in words if word != "requirements")
        if name:
            found.files.setdefault(name, path)
    return found


def _is_virtual(data: Mapping[str, Any], tools: Mapping[str, Any]) -> bool:
    """Return whether the project is no package, as poetry or uv understand it."""
    poetry, uv = _table(tools, "poetry"), _table(tools, "uv")
    if poetry.get("package-mode") is False or uv.get("package") is False:
        return True
    return "project" in data and "build-system" not in data and bool(uv)


def _extras(
    folder: Path, project: Mapping[str, Any], tools: Mapping[str, Any]
) -> list[str]:
    names = [
        *_table(project, "optional-dependencies"),
        *_table(tools, "setuptools", "dynamic", "optional-dependencies"),
        *_table(tools, "poetry", "extras"),
        *_table(tools, "flit", "metadata", "requires-extra"),
    ]
    setup = folder / "setup.py"
    if setup.exists():
        # It is a program. pip only warns about an extra that does not exist.
        text = setup.read_text(encoding="utf-8", errors="replace")
        if "extras_require" in text:
            names += re.findall(r"['\"]([\w.-]+)['\"]\s*:", text)
    config = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        config.read(folder / "setup.cfg", encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        return list(dict.fromkeys(names))
    if config.has_section("options.extras_require"):
        names += config.options("options.extras_require")
    return list(dict.fromkeys(names))


def _groups(
    data: Mapping[str, Any], tools: Mapping[str, Any]
) -> Iterable[tuple[str, list[str]]]:
    """Return the groups of requirements that the project has, with their names."""
    groups = {
        _normal(name): of for name, of in _table(data, "dependency-groups").items()
    }
    for name in groups:
        yield name, _group(groups, name, ())
    for name, of in _table(tools, "poetry", "group").items():
        yield _normal(name), poetry_requirements(_table(of, "dependencies"))
    yield "dev", poetry_requirements(_table(tools, "poetry", "dev-dependencies"))
    yield "dev", _texts(_table(tools, "uv").get("dev-dependencies"))
    yield "dev", _texts(_table(tools, "rye").get("dev-dependencies"))
    for name, lines in _table(tools, "pdm", "dev-dependencies").items():
        yield _normal(name), _texts(lines)
    for name, of in _table(tools, "hatch", "envs").items():
        lines = []
        if isinstance(of, dict):
            for key in ("dependencies", "extra-dependencies"):
                lines += _texts(of.get(key))
            for group in _texts(of.get("dependency-groups")):
                lines += _group(groups, _normal(group), ())
        yield _normal(name), lines


def _group(groups: Mapping[str, Any], name: str, above: tuple[str, ...]) -> list[str]:
    """Return the requirements of a dependency group and of those it includes."""
    lines: list[str] = []
    if name in above:
        return lines
    for entry in groups.get(name, ()):
        if isinstance(entry, str):
            lines.append(entry)
        elif isinstance(entry, dict) and "include-group" in entry:
            included = _normal(str(entry["include-group"]))
            lines += _group(groups, included, (*above, name))
    return lines


def _chosen(names: Iterable[str]) -> set[str]:
    """Return the names that are for tests and benchmarks, or else for development."""
    names = list(names)
    wanted = _TESTS | _BENCHMARKS
    if not _has_tests(names):
        wanted |= _DEVELOPMENT
    return {name for name in names if _normal(name) in wanted}


def _chosen_files(found: _Found) -> list[Path]:
    chosen = _chosen(found.files)
    return [path for name, path in found.files.items() if name in {"", *chosen}]


def _has_tests(names: Iterable[str]) -> bool:
    return any(_normal(name) in _TESTS for name in names)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _table(data: Any, *names: str) -> dict[str, Any]:
    for name in names:
        data = data.get(name) if isinstance(data, dict) else None
    return data if isinstance(data, dict) else {}


def _texts(lines: Any) -> list[str]:
    """Return the lines that pip can read: no editable ones, and no templates."""
    return [
        line
        for line in (lines if isinstance(lines, list) else [])
        if isinstance(line, str) and not line.startswith("-") and "{" not in line
    ]
