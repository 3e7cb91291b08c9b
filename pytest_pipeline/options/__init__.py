"""The plugin's options, read once into frozen values. Needs pytest only."""

from __future__ import annotations

from pytest_pipeline.options.settings import (
    MARKER,
    OPTIONS,
    SETTING_NAMES,
    SETTINGS,
    TLS_TRANSPORTS,
    Hosting,
    PipelineSettings,
    Transport,
    read_settings,
    settings_given,
    settings_of,
    with_marks,
    with_values,
)
from pytest_pipeline.options.values import is_address

__all__ = [
    "MARKER",
    "OPTIONS",
    "SETTINGS",
    "SETTING_NAMES",
    "TLS_TRANSPORTS",
    "Hosting",
    "PipelineSettings",
    "Transport",
    "is_address",
    "read_settings",
    "settings_given",
    "settings_of",
    "with_marks",
    "with_values",
]
