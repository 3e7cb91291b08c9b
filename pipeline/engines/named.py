"""Engines by name: the monolith, and those of entry points."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points

from pipeline.engines.base import Engine
from pipeline.engines.monolith import MonolithEngine
from pipeline.errors import PipelineError, UsageError, raised

#: Each entry point of this group is a function that returns an `Engine`. Its parameters
#: are the options of ``pipeline run`` that it knows: address, workers and window.
_GROUP = "pipeline.engines"


def engine_named(name: str) -> Callable[..., Engine]:
    """Return the function that makes the engine of that name.

    The split has more options than these, and is not among them.

    Raises:
        UsageError: There is none, or it can't be imported.
    """
    if name == MonolithEngine.name:
        return MonolithEngine
    entries = entry_points(group=_GROUP)
    if name not in entries.names:
        known = ", ".join(("split", MonolithEngine.name, *added_engines()))
        raise UsageError(f"--engine {name}: not known; there is {known}")
    entry = entries[name]
    try:
        factory: Callable[..., Engine] = entry.load()
    except PipelineError:
        raise
    except Exception as error:
        provider = entry.dist.name if entry.dist else "an unknown distribution"
        raise UsageError(
            f"--engine {name}: can't be loaded from {provider}: {raised(error)}"
        ) from error
    return factory


def added_engines() -> list[str]:
    """Return the names of the engines of entry points."""
    return sorted(entry_points(group=_GROUP).names)
