"""The settings of the counts. Needs pytest only, since the plugin loads it."""

from __future__ import annotations

from pathlib import Path

import pytest

_OPTION = "--pipeline-baseline"
_INI = "pipeline_baseline"


def add_options(parser: pytest.Parser) -> None:
    """Declare the options, and the ini key of the file."""
    group = parser.getgroup("pipeline-counts", "counts that are the same each time")
    group.addoption(
        _OPTION,
        dest=_INI,
        metavar="FILE",
        help="Committed file of counts that the suite of counts holds runs to.",
    )
    group.addoption(
        "--pipeline-update-baseline",
        action="store_true",
        help="Write what is counted to that file instead.",
    )
    parser.addini(_INI, f"Default of {_OPTION}, from the ini file's folder.")


def baseline_path(config: pytest.Config) -> Path:
    """Return the file of counts; raise pytest.UsageError where none is named."""
    given = config.getoption(_INI)
    if given:
        return Path(given)
    configured = config.getini(_INI)
    if configured:
        return config.rootpath / str(configured)
    raise pytest.UsageError(
        f"there is no file of counts to compare with; give {_OPTION} FILE, and "
        f"--pipeline-update-baseline to make it"
    )


def is_update(config: pytest.Config) -> bool:
    """Say whether the file is to be written; raise pytest.UsageError under xdist."""
    update = bool(config.getoption("pipeline_update_baseline"))
    if update and hasattr(config, "workerinput"):
        raise pytest.UsageError(
            "--pipeline-update-baseline: workers of xdist would write over each "
            "other; add -n 0"
        )
    return update
