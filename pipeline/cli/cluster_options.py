"""The options of `pipeline run` for engines that run on a cluster."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click

from pipeline.cli.output import say

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--address",
        metavar="tcp://HOST:PORT",
        show_default="a cluster on this machine",
        help="Scheduler of a cluster that runs already; tls:// if it has TLS (dask).",
    ),
    click.option(
        "--workers",
        type=int,
        metavar="N",
        show_default="one for each core",
        help="Processes of a cluster on this machine (dask).",
    ),
    click.option(
        "--window",
        type=int,
        metavar="N",
        show_default="two for each worker",
        help="Most parts of the input that are on their way at once (dask).",
    ),
)


def cluster_options(command: Command) -> Command:
    """Add the options for clusters to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def warn_if_open(address: str) -> None:
    """Warn on standard error if others may reach a scheduler, and it has no TLS."""
    found = urlsplit(address)
    if found.scheme != "tls" and not _is_loopback(found.hostname or ""):
        say(
            f"warning: {address} has no TLS: whoever reaches it can read the records "
            f"and run code on the workers; use tls://"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
