"""The settings of the gate. pytest loads this module in every session.

Each setting is an option and an ini key: ``--pipeline-gate-budget 60`` or
``pipeline_gate_budget = 60``. The revision to compare against has no ini key, because
then every session would be a gate.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_pipeline.options.declaration import Option, OptionGroup
from pytest_pipeline.options.values import PATH, SECONDS, SHARE, TEXT

#: The value of the option when it names no revision: the merge base with main.
MERGE_BASE = "merge-base"

AGAINST = "--pipeline-gate-against"
PREPARED = "--pipeline-gate-prepared"

MARKER = "pipeline_gate"
#: The environment variable with the socket's file descriptor, for a side's pytest.
SOCKET = "PIPELINE_GATE_SOCKET"


@dataclass(frozen=True)
class GateSettings:
    """The settings of a gate."""

    #: The revision to compare against; `MERGE_BASE` for that of HEAD with main.
    against: str
    #: A line for the shell that installs a project, in its folder; empty to install
    #: what its files name.
    install: str = ""
    #: The relative change of its time from which a benchmark counts as slower.
    threshold: float = 0.05
    #: Seconds that the gate may take, including the builds.
    budget: float = 240.0
    #: Path of the summary, without the suffixes .md, .json and .html.
    summary: Path | None = None
    #: Environments that are there already, of the old and of the new side: a Python
    #: each, or the folder of a virtual environment.
    prepared: tuple[Path, Path] | None = None


_OPTIONS = OptionGroup(
    "pipeline-gate",
    "was it faster before?",
    (
        Option(
            "install",
            TEXT,
            "COMMAND",
            "Shell command that installs a revision, run in its folder [pip install, "
            "with the extras and groups for tests].",
        ),
        Option(
            "threshold",
            SHARE,
            "SHARE",
            "Relative change from which a benchmark counts as slower [0.05].",
        ),
        Option(
            "budget",
            SECONDS,
            "SECONDS",
            "Seconds that the gate may take, including the builds; no rounds are added "
            "after that [240].",
        ),
        Option(
            "summary",
            PATH,
            "PATH",
            "Write the verdicts to PATH.md, PATH.json and PATH.html.",
        ),
    ),
)

#: The options that the gate keeps from the sessions of its sides, each with the number
#: of its values.
VALUES_OF = {
    AGAINST: 1,
    PREPARED: 2,
    **{_OPTIONS.flag(each.name): 1 for each in _OPTIONS.options},
}


def add_options(parser: pytest.Parser) -> None:
    """Declare the gate's options and ini keys."""
    _OPTIONS.declare(parser)
    parser.getgroup(_OPTIONS.prefix).addoption(
        AGAINST,
        nargs="?",
        const=MERGE_BASE,
        metavar="REF",
        help="Run the selected benchmarks at REF and in the working tree, interleaved, "
        "and report for each whether it became slower [the merge base of HEAD with "
        "main].",
    )
    parser.getgroup(_OPTIONS.prefix).addoption(
        PREPARED,
        nargs=2,
        metavar=("OLD", "NEW"),
        help="Environments that are there already, instead of building them: a Python "
        "each, or the folder of a virtual environment.",
    )


def gate_settings_of(config: pytest.Config) -> GateSettings | None:
    """Return the settings from command line and ini file; None for no gate.

    Raises:
        pytest.UsageError: A value is invalid. The message names its option or ini key.
    """
    against = config.getoption("pipeline_gate_against")
    if against is None:
        return None
    given = _OPTIONS.given(config)
    prepared = config.getoption("pipeline_gate_prepared")
    return GateSettings(
        # A CI job without a base revision passes an empty one.
        against=against or MERGE_BASE,
        prepared=(Path(prepared[0]), Path(prepared[1])) if prepared else None,
        **{name: each.value for name, each in given.items()},
    )
