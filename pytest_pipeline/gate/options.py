"""The settings of the gate. Needs pytest only, since the plugin loads it.

A setting has one name as option and as ini key: ``--pipeline-gate-budget 60``,
``pipeline_gate_budget = 60``. Which revision to go against is no ini key, for every
session would be a gate then.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_pipeline.options.declaration import Option, OptionGroup
from pytest_pipeline.options.values import PATH, SECONDS, SHARE, TEXT

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


_OPTIONS = OptionGroup(
    "pipeline-gate",
    "was it faster before?",
    (
        Option(
            "install",
            TEXT,
            "COMMAND",
            "Command that installs a revision, run in its folder "
            "[python -m pip install .[test]].",
        ),
        Option(
            "threshold",
            SHARE,
            "SHARE",
            "From which relative change on a benchmark counts as slower [0.05].",
        ),
        Option(
            "budget",
            SECONDS,
            "SECONDS",
            "Seconds that the gate may take, building included; past them no rounds "
            "are added [240].",
        ),
        Option(
            "summary",
            PATH,
            "PATH",
            "Write the verdicts to PATH.md, PATH.json and PATH.html.",
        ),
    ),
)

#: The options of the gate itself, which the sessions that it starts do not get.
OWN_OPTIONS = (AGAINST, *(_OPTIONS.flag(each.name) for each in _OPTIONS.options))


def add_options(parser: pytest.Parser) -> None:
    """Declare the gate's options and ini keys."""
    _OPTIONS.declare(parser)
    parser.getgroup(_OPTIONS.prefix).addoption(
        AGAINST,
        nargs="?",
        const=MERGE_BASE,
        metavar="REF",
        help="Run the benchmarks that are chosen at REF and in the working tree by "
        "turns, and say of each whether it has become slower [the merge base of HEAD "
        "with main].",
    )


def gate_settings_of(config: pytest.Config) -> GateSettings | None:
    """Return what command line and ini file say; None where no gate is asked for.

    Raises pytest.UsageError that names the option or ini key which makes no sense.
    """
    against = config.getoption("pipeline_gate_against")
    if against is None:
        return None
    given = _OPTIONS.given(config)
    return GateSettings(
        # A job that has no revision to name gives an empty one.
        against=against or MERGE_BASE,
        **{name: each.value for name, each in given.items()},
    )
