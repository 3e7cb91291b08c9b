"""The paths of a run as its ingest and its sink are told them."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.engines.base import RunSettings
from pipeline.errors import UsageError
from pipeline.inputs import STANDARD_INPUT
from pipeline.stages import INGEST, SINK


def target_of(output: Path, *, is_local: bool) -> str:
    """Return the path of the result for the sink.

    Args:
        output: The path as it was given.
        is_local: Whether the sink is started here. One that was started elsewhere may
            serve other folders, and take the path relative to those.

    Raises:
        UsageError: The file has a name that is not UTF-8, so no message can carry it.
    """
    candidates = [output]
    if is_local:
        # The name is enough for a sink that serves the folder, and the folder may have
        # a name that is not UTF-8.
        candidates = [output.absolute(), Path(Path(os.path.realpath(output)).name)]
    for path in candidates:
        try:
            str(path).encode()
        except UnicodeEncodeError:
            continue
        return str(path)
    raise UsageError(
        f"output {str(output)!r}: its name is not UTF-8, so no message to the sink can "
        f"carry it; choose another, or use --engine monolith"
    )


def folders_of(settings: RunSettings) -> dict[str, list[Path]]:
    """Return the folders that ingest and sink have to serve, with links followed."""
    folders = {SINK: [Path(os.path.realpath(settings.output)).parent]}
    if settings.input not in ("", STANDARD_INPUT):
        folders[INGEST] = [Path(os.path.realpath(settings.input)).parent]
    return folders
