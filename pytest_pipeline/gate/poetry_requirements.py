"""Poetry's notation of dependencies, as requirements for pip.

https://python-poetry.org/docs/dependency-specification/
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any


def poetry_requirements(dependencies: Mapping[str, Any]) -> list[str]:
    """Return the requirements of a table of dependencies.

    Python itself, paths in the repository and alternatives joined by ``||`` beyond the
    first are left out.
    """
    lines = []
    for name, given in dependencies.items():
        if name.lower() == "python":
            continue
        for one in given if isinstance(given, list) else [given]:
            line = _requirement(name, {"version": one} if isinstance(one, str) else one)
            if line:
                lines.append(line)
    return lines


def _requirement(name: str, given: Mapping[str, Any]) -> str:
    extras = ",".join(given.get("extras", ()))
    name = f"{name}[{extras}]" if extras else name
    markers = [str(given["markers"])] if "markers" in given else []
    if "python" in given:
        markers += _python_markers(str(given["python"]))
    marker = f" ; {' and '.join(f'({one})' for one in markers)}" if markers else ""
    if "git" in given:
        at = given.get("rev") or given.get("tag") or given.get("branch")
        return f"{name} @ git+{given['git']}{f'@{at}' if at else ''}{marker}"
    if "url" in given:
        return f"{name} @ {given['url']}{marker}"
    if "path" in given:
        return ""
    return f"{name}{_specifier(str(given.get('version', '*')))}{marker}"


def _python_markers(constraint: str) -> list[str]:
    return [
        f"python_version {operator} '{version}'"
        for operator, version in re.findall(
            r"([<>=!]=?)\s*([\w.]+)", _specifier(constraint)
        )
    ]


def _specifier(constraint: str) -> str:
    """Return a constraint in the notation of PEP 440; empty for any version."""
    first = constraint.split("||", maxsplit=1)[0]
    parts = (_part(part.strip()) for part in re.split(r"[,\s]+(?=[\^~<>=!\d*])", first))
    return ",".join(part for part in parts if part)


def _part(part: str) -> str:
    if part in ("", "*"):
        return ""
    if part.startswith(("~=", "==", "!=", "<", ">")):
        return part.replace(" ", "")
    if part.startswith("="):
        return f"={part}"
    if part[0] not in "^~":
        return f"=={part}"
    version = part[1:].strip()
    numbers = [int(number) for number in re.findall(r"\d+", version.split("-")[0])]
    if part[0] == "~":
        # ~1 allows 1.x, and ~1.2 and ~1.2.3 allow 1.2.x.
        fixed = min(2, len(numbers))
    else:
        # ^ keeps the first number that is not 0.
        fixed = next(
            (place for place, number in enumerate(numbers, 1) if number), len(numbers)
        )
    upper = [*numbers[: fixed - 1], numbers[fixed - 1] + 1]
    return f">={version},<{'.'.join(map(str, upper))}"
