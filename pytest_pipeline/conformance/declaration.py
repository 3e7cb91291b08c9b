"""What a stage declares about itself, read from a TOML file.

::

    [stage.parse]
    workloads = ["events"]          # the workloads that it serves
    keeps_state = false             # whether a batch can affect later ones
    max_message_bytes = 4194304     # the largest message it accepts; 0: no limit
    reflection = true               # whether it serves grpc.reflection
    timing = true                   # whether its replies have times
    opt_in = ["timing.plausible"]   # later checks that it promises to pass

    [stage.ingest]
    folder = "/srv/events"          # the folder of this machine whose files it serves

    [stage.parse.known_failures]
    "stream.deadline" = "see issue 12"
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from pipeline.errors import UsageError, one_line


@dataclass(frozen=True)
class Declaration:
    """What one stage declares. None means: not declared."""

    #: The workloads it serves; None for every workload that it is checked with.
    workloads: tuple[str, ...] | None = None
    keeps_state: bool = False
    #: Bytes of the largest message that it accepts; 0 for no limit.
    max_message_bytes: int | None = None
    reflection: bool | None = None
    timing: bool | None = None
    #: The folder of this machine whose files an ingest or a sink serves.
    folder: Path | None = None
    #: Ids of checks, added after the contract, that it promises to pass.
    opt_in: tuple[str, ...] = ()
    #: Why each check fails that is known to fail, by id.
    known_failures: Mapping[str, str] = field(default_factory=dict)


def read_declarations(
    path: Path, check_ids: Callable[[str], Collection[str]]
) -> dict[str, Declaration]:
    """Read the declarations of a file.

    Args:
        path: the TOML file.
        check_ids: returns the ids that ``opt_in`` and ``known_failures`` may name, for
            the name of a stage.

    Returns:
        The declaration of each stage, by stage name.

    Raises:
        UsageError: the file can't be read, or has an unknown key or a wrong value.
    """
    try:
        content = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {one_line(error)}") from error
    stages = content.pop("stage", {})
    if content or not isinstance(stages, dict):
        what = ", ".join(content) or "stage"
        raise UsageError(f"{path}: {what}: there is only [stage.NAME]")
    return {
        name: _declaration(f"{path}: stage.{name}", table, check_ids(name))
        for name, table in stages.items()
    }


def _declaration(where: str, table: Any, check_ids: Collection[str]) -> Declaration:
    if not isinstance(table, dict):
        raise UsageError(f"{where}: must be a table")
    known = {one.name for one in fields(Declaration)}
    for key in table:
        if key not in known:
            raise UsageError(
                f"{where}.{key}: not known; there is {', '.join(sorted(known))}"
            )
    values: dict[str, Any] = {}
    for key, value in table.items():
        is_right, must_be = _KINDS[key]
        if not is_right(value):
            raise UsageError(f"{where}.{key}: must be {must_be}")
        values[key] = tuple(value) if isinstance(value, list) else value
    for key in ("opt_in", "known_failures"):
        for check_id in values.get(key, ()):
            if check_id not in check_ids:
                raise UsageError(f"{where}.{key}: there is no check {check_id!r}")
    if "folder" in values:
        values["folder"] = Path(values["folder"])
    return Declaration(**values)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _is_folder(value: Any) -> bool:
    return isinstance(value, str) and Path(value).is_absolute() and Path(value).is_dir()


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


_KINDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "workloads": (lambda value: _is_texts(value) and bool(value), "a list of names"),
    "keeps_state": (_is_flag, "true or false"),
    "max_message_bytes": (
        lambda value: type(value) is int and value >= 0,
        "a number of bytes, 0 for no limit",
    ),
    "reflection": (_is_flag, "true or false"),
    "timing": (_is_flag, "true or false"),
    "folder": (_is_folder, "the absolute path of a folder of this machine"),
    "opt_in": (_is_texts, "a list of check ids"),
    "known_failures": (
        lambda value: (
            isinstance(value, dict)
            and all(isinstance(why, str) and why.strip() for why in value.values())
        ),
        "a table of check ids, each with the reason why it fails",
    ),
}
