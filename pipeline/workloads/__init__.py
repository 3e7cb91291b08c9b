"""Workloads by name: the built-in ones, and those of users."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from traceback import extract_tb

from pipeline.errors import UsageError, raised
from pipeline.workload import Workload

#: The built-in workloads, each as ``module:attribute``.
BUILT_IN = {
    "events": "pipeline.workloads.events:EVENTS",
    "work-items": "pipeline.workloads.work_items:WORK_ITEMS",
    "mixed": "pipeline.workloads.mixed:MIXED",
}


_PACKAGE = Path(__file__).parents[1]


def workload_named(name: str) -> Workload:
    """Return the workload of that name.

    Args:
        name: ``events``, ``work-items``, ``mixed``, or ``package.module:attribute`` of
            another workload. The module may be in the current folder.

    Raises:
        UsageError: There is no such workload, it can't be imported, or it is not a
            valid `Workload`.

    Example::

        workload = workload_named("access_logs:ACCESS_LOGS")
    """
    module_name, colon, attribute = BUILT_IN.get(name, name).partition(":")
    if not (module_name and colon and attribute):
        known = ", ".join(sorted(BUILT_IN))
        raise UsageError(
            f"workload {name!r}: not known; there is {known}, and package.module:name "
            f"for one of your own"
        )
    here = str(Path.cwd())
    if name not in BUILT_IN and here not in sys.path:
        # Last, so that no file in the folder hides an installed module.
        sys.path.append(here)
    try:
        workload = getattr(import_module(module_name), attribute)
    except UsageError as error:
        raise UsageError(f"workload {name!r}: {error}{_line_of(error)}") from error
    except Exception as error:
        raise UsageError(
            f"workload {name!r} can't be imported: {raised(error)}{_line_of(error)}"
        ) from error
    if not isinstance(workload, Workload):
        raise UsageError(
            f"workload {name!r}: is a {type(workload).__name__}, not a Workload"
        )
    return replace(workload, name=name)


def _line_of(error: Exception) -> str:
    """Return file and line of the last frame outside this package, if it is a file."""
    frames = extract_tb(error.__traceback__)
    while frames and _PACKAGE in Path(frames[-1].filename).parents:
        del frames[-1]
    if not frames or frames[-1].filename.startswith("<"):
        return ""
    return f" ({frames[-1].filename}:{frames[-1].lineno})"


__all__ = ["BUILT_IN", "workload_named"]
