"""The settings of the gate. Needs pytest only, since the plugin loads it.

A setting has one name as option and as ini key: ``--pipeline-gate-budget 60``,
``pipeline_gate_budget = 60``. Which revision to go against is no ini key, for every
session would be a gate then.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_pipeline.options import parse_seconds

#: What is given where no revision is: the merge base with main.
MERGE_BASE = "merge-base"

AGAINST = "--pipeline-gate-against"

MARKER = "pipeline_gate"
#: Where the sessions that a gate starts have the number of its socket.
SOCKET = "PIPELINE_GATE_SOCKET"


@dataclass(frozen=True)
class GateSettings:
    """What is in force for a gate."""

    #: The revision to go against; `MERGE_BASE` for that of HEAD with main.
    against: str
    #: The command that installs a project, in its folder; empty for pip's.
    install: str = ""
    #: From which relative change of its time on a benchmark is slower.
    threshold: float = 0.05
    #: Seconds that all of it may take, building included.
    budget: float = 240.0
    #: Where the summary is written, as .md, as .json and as .html.
    summary: Path | None = None


_HELP = {
    "install": "Command that installs a revision, run in its folder "
    "[python -m pip install .[test]].",
    "threshold": "From which relative change on a benchmark counts as slower [0.05].",
    "budget": "Seconds that the gate may take, building included; past them no rounds "
    "are added [240].",
    "summary": "Write the verdicts to PATH.md, PATH.json and PATH.html.",
}
_METAVAR = {
    "install": "COMMAND",
    "threshold": "SHARE",
    "budget": "SECONDS",
    "summary": "PATH",
}

#: The options that are of the gate, and not of the sessions that it starts.
OWN_OPTIONS = (AGAINST, *(f"--pipeline-gate-{name}" for name in _HELP))


def add_options(parser: pytest.Parser) -> None:
    """Declare the gate's options and ini keys."""
    group = parser.getgroup("pipeline-gate", "was it faster before?")
    group.addoption(
        AGAINST,
        nargs="?",
        const=MERGE_BASE,
        metavar="REF",
        help="Run the benchmarks that are chosen at REF and in the working tree by "
        "turns, and say of each whether it has become slower [the merge base of HEAD "
        "with main].",
    )
    for name, text in _HELP.items():
        option, ini = f"--pipeline-gate-{name}", f"pipeline_gate_{name}"
        group.addoption(option, metavar=_METAVAR[name], dest=ini, help=text)
        parser.addini(ini, f"Default of {option}.", default=None)


def gate_settings_of(config: pytest.Config) -> GateSettings | None:
    """Return what command line and ini file say; None where no gate is asked for.

    Raises pytest.UsageError that names the option or ini key which makes no sense.
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
    # A job that has no revision to name gives an empty one.
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
