"""What ingest and the sink of a split run are told of files."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.engines.base import RunSettings
from pipeline.errors import UsageError
from pipeline.inputs import STANDARD_INPUT, separate_paths
from pipeline.stages import INGEST, SINK
from pipeline.urls import is_url


def sink_target(output: Path, *, is_local: bool) -> str:
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


def served_folders(settings: RunSettings) -> dict[str, list[Path]]:
    """Return the folders that ingest and sink have to serve, with links followed."""
    inputs = {
        Path(os.path.realpath(path)).parent: None
        for path in separate_paths(settings.input)
        if path not in ("", STANDARD_INPUT) and not is_url(path)
    }
    return {
        SINK: [Path(os.path.realpath(settings.output)).parent],
        INGEST: list(inputs),
    }
