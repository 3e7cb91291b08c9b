"""The options for stage servers, of `run` and `tune`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from pipeline.errors import UsageError

Command = TypeVar("Command", bound=Callable[..., Any])

_SERVERS = (
    click.option(
        "--replicas",
        metavar="NAME=N,…",
        default="",
        help="Number of servers of transform stages, such as parse=2,rules=2.",
    ),
    click.option(
        "--stage",
        "stages",
        multiple=True,
        metavar="NAME=ADDRESS",
        help="Use the server at ADDRESS (HOST:PORT or unix:PATH) instead of starting "
        "one. Repeatable, for replicas too.",
    ),
    click.option(
        "--stages",
        "languages",
        metavar="LANGUAGE | NAME=LANGUAGE,…",
        default="",
        help="Languages of the stage servers to start: python, go, rust or typescript "
        "for all stages, or as in parse=rust,rules=go. Build them first with pipeline "
        "build-stages.",
    ),
    click.option(
        "--transport",
        type=click.Choice(["unix", "tcp"]),
        default="unix",
        show_default=True,
        help="Transport of the servers that the command starts.",
    ),
)


def servers_options(command: Command) -> Command:
    """Add the options for stage servers to a command."""
    for option in reversed(_SERVERS):
        command = option(command)
    return command


def addresses_of(stages: tuple[str, ...]) -> dict[str, list[str]]:
    """Return the addresses in --stage by stage, or raise UsageError."""
    addresses: dict[str, list[str]] = {}
    for text in stages:
        name, equals, address = text.partition("=")
        if not (name and equals and address):
            raise UsageError(f"--stage {text!r}: must be NAME=ADDRESS")
        addresses.setdefault(name, []).append(address)
    return addresses


def replicas_of(text: str) -> dict[str, int]:
    """Return the numbers of servers in --replicas by stage, or raise UsageError."""
    replicas: dict[str, int] = {}
    for part in text.split(",") if text else ():
        name, _, count = part.partition("=")
        if not (name and count.isascii() and count.isdigit()):
            raise UsageError(f"--replicas {part!r}: must be NAME=N")
        if name in replicas:
            raise UsageError(f"--replicas {name}: given twice")
        replicas[name] = int(count)
    return replicas
