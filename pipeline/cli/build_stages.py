"""The command `pipeline build-stages`."""

from __future__ import annotations

import time

import click

from pipeline.languages import LANGUAGES, language_named


@click.command(short_help="Build the stages in other languages.")
@click.argument("languages", metavar="[LANGUAGE]...", nargs=-1)
@click.option(
    "--available",
    is_flag=True,
    help="Leave out, by name, the languages whose toolchain is not there.",
)
def build_stages(languages: tuple[str, ...], *, available: bool) -> None:
    """Build the stages in go, rust, rust-debug and typescript, or in the given ones.

    They are kept in the cache folder of the user, and built again when a new version of
    this package has other sources. Building needs the language's toolchain and, the
    first time, its package registry. Running needs neither.

    Use them with the options --stages and --pipeline-stages.

    Exit codes: 0 success, 1 a build failed, 2 wrong usage or no toolchain.
    """
    for name in languages or tuple(LANGUAGES):
        language = language_named(name)
        why = language.missing_toolchain() if available else ""
        if why:
            click.echo(f"{name}: skipped, {why}")
            continue
        began = time.monotonic()
        if language.build(lambda step, name=name: click.echo(f"{name}: {step}")):  # type: ignore[misc]
            click.echo(f"{name}: built in {time.monotonic() - began:.0f} s")
        else:
            click.echo(f"{name}: is built")
