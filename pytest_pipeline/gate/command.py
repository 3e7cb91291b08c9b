"""The command ``pipeline gate``: the gate without an outer session of pytest.

It reads no ``addopts`` and no ``conftest.py`` of the project, so it needs none of the
project's plugins or packages.
"""

from __future__ import annotations

from pathlib import Path

import click

from pytest_pipeline.gate.options import MERGE_BASE, GateSettings

_DEFAULTS = GateSettings(MERGE_BASE)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("ref")
@click.argument("arguments", metavar="[PATHS]...", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--install",
    default="",
    metavar="COMMAND",
    help="Shell command that installs a revision, run in its folder. By default pip "
    "installs it, with the extras and groups for tests.",
)
@click.option(
    "--prepared",
    nargs=2,
    type=click.Path(path_type=Path),
    metavar="OLD NEW",
    help="Environments that are there already: a Python each, or the folder of a "
    "virtual environment.",
)
@click.option(
    "--threshold",
    type=click.FloatRange(min=0, min_open=True),
    default=_DEFAULTS.threshold,
    show_default=True,
    help="Relative change from which a benchmark counts as slower.",
)
@click.option(
    "--budget",
    type=click.FloatRange(min=0, min_open=True),
    default=_DEFAULTS.budget,
    show_default=True,
    help="Seconds that the gate may take, including the builds.",
)
@click.option(
    "--summary",
    type=click.Path(path_type=Path),
    help="Write the verdicts to SUMMARY.md, SUMMARY.json and SUMMARY.html.",
)
@click.pass_context
def gate(
    ctx: click.Context,
    ref: str,
    arguments: tuple[str, ...],
    install: str,
    prepared: tuple[Path, Path] | None,
    threshold: float,
    budget: float,
    summary: Path | None,
) -> None:
    """Find benchmarks that are slower in the working tree than at REF.

    REF is a revision, or merge-base for that of HEAD with main. PATHS select the
    benchmarks; other options, such as -k, go to pytest.

    Exit codes: 0 ok, 1 regressed, 2 interrupted or wrong usage of the command line,
    3 a side failed, 4 wrong usage, 5 nothing measured, 6 inconclusive.
    """
    from pytest_pipeline.gate.gating import run_gate

    settings = GateSettings(
        against=ref or MERGE_BASE,
        install=install.strip(),
        threshold=threshold,
        budget=budget,
        summary=summary,
        prepared=prepared,
    )
    ctx.exit(run_gate(settings, arguments, Path.cwd()))
