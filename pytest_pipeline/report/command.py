"""The command ``pipeline report``."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli.files import check_distinct


@click.command()
@click.argument("saved", type=click.Path(path_type=Path))
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    help="An earlier SAVED to overlay in the charts.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="Path of the page.",
)
def report(saved: Path, against: Path | None, output: Path) -> None:
    """Draw saved benchmark results as a page.

    SAVED is a file that pytest wrote with --benchmark-json, or below .benchmarks with
    --benchmark-save. The page is one file that needs no network.
    """
    check_distinct({"SAVED": saved, "--against": against, "--output": output})
    from pytest_pipeline.report.benchmark_json import read_saved
    from pytest_pipeline.report.session_page import write

    before = None if against is None else read_saved(against)
    write(read_saved(saved), output, before)
    click.echo(f"written: {output}")
