"""The settings of the gate. pytest loads this module in every session.

Each setting is an option and an ini key: ``--pipeline-gate-budget 60`` or
``pipeline_gate_budget = 60``. The revision to compare against has no ini key, because
then every session would be a gate.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_pipeline.options import parse_seconds

#: The value of the option when it names no revision: the merge base with main.
MERGE_BASE = "merge-base"

AGAINST = "--pipeline-gate-against"

MARKER = "pipeline_gate"
#: The environment variable with the socket's file descriptor, for a side's pytest.
SOCKET = "PIPELINE_GATE_SOCKET"


@dataclass(frozen=True)
class GateSettings:
    """The settings of a gate."""

    #: The revision to compare against; `MERGE_BASE` for that of HEAD with main.
    against: str
    #: The command that installs a project, in its folder; empty for pip's.
    install: str = ""
    #: The relative change of its time from which a benchmark counts as slower.
    threshold: float = 0.05
    #: Seconds that the gate may take, including the builds.
    budget: float = 240.0
    #: Path of the summary, without the suffixes .md, .json and .html.
    summary: Path | None = None


_HELP = {
    "install": "Command that installs a revision, run in its folder "
    "[python -m pip install .[test]].",
    "threshold": "Relative change from which a benchmark counts as slower [0.05].",
    "budget": "Seconds that the gate may take, including the builds; no rounds are "
    "added after that [240].",
    "summary": "Write the verdicts to PATH.md, PATH.json and PATH.html.",
}
_METAVAR = {
    "install": "COMMAND",
    "threshold": "SHARE",
    "budget": "SECONDS",
    "summary": "PATH",
}

#: The options that the gate keeps from the sessions of its sides.
OWN_OPTIONS = (AGAINST, *(f"--pipeline-gate-{name}" for name in _HELP))


def add_options(parser: pytest.Parser) -> None:
    """Declare the gate's options and ini keys."""
    group = parser.getgroup("pipeline-gate", "was it faster before?")
    group.addoption(
        AGAINST,
        nargs="?",
        const=MERGE_BASE,
        metavar="REF",
        help="Run the selected benchmarks at REF and in the working tree, interleaved, "
        "and report for each whether it became slower [the merge base of HEAD with "
        "main].",
    )
    for name, text in _HELP.items():
        option, ini = f"--pipeline-gate-{name}", f"pipeline_gate_{name}"
        group.addoption(option, metavar=_METAVAR[name], dest=ini, help=text)
        parser.addini(ini, f"Default of {option}.", default=None)


def gate_settings_of(config: pytest.Config) -> GateSettings | None:
    """Return the settings from command line and ini file; None for no gate.

    Raises:
        pytest.UsageError: A value is invalid. The message names its option or ini key.
    """
    against = config.getoption("pipeline_gate_against")
    if against is None:
        return None
    values: dict[str, Any] = {}
    for name in _HELP:
        option, ini = f"--pipeline-gate-{name}", f"pipeline_gate_{name}"
        for source, text in (
            (option, config.getoption(ini)),
            (f"ini key {ini}", config.getini(ini)),
        ):
            if text is not None:
                values[name] = _read(source, name, str(text))
                break
    # A CI job without a base revision passes an empty one.
    return GateSettings(against=against or MERGE_BASE, **values)


def _read(source: str, name: str, text: str) -> Any:
    try:
        if name == "budget":
            return parse_seconds(text)
        if name == "threshold":
            return _share(text)
        return Path(_said(text)) if name == "summary" else _said(text)
    except ValueError as error:
        raise pytest.UsageError(f"{source} {text}: {error}") from None


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    return text


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share < 10:
        raise ValueError("must be a share, more than 0, such as 0.05")
    return share
