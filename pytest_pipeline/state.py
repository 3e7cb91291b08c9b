"""What the plugin knows during a session: settings, and the servers that are up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from pytest_pipeline.options import PipelineSettings

if TYPE_CHECKING:
    from pytest_pipeline.measured import Measured
    from pytest_pipeline.servers.pool import ServerPool


@dataclass
class PluginState:
    """Kept with the configuration of pytest."""

    settings: PipelineSettings
    #: The settings of tests, of which pytest needs equal ones to be the same object.
    interned: dict[PipelineSettings, PipelineSettings] = field(default_factory=dict)
    #: None until a test asks for a server.
    pool: ServerPool | None = None
    #: What each test has measured, by its name.
    measured: dict[str, Measured] = field(default_factory=dict)


KEY = pytest.StashKey[PluginState]()


def state_of(config: pytest.Config) -> PluginState:
    """Return the state of this session."""
    return config.stash[KEY]
