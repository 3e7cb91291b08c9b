"""The options for records that are made from a seed, and how a source gets them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import click

from pipeline.errors import UsageError

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])

_MADE_RECORDS = (
    click.option(
        "--seed",
        type=int,
        show_default="1",
        help="The same seed makes the same records.",
    ),
    click.option(
        "--payload-size",
        type=click.Choice(["small", "medium", "large"]),
        show_default="medium",
        help="Vectors of 5, 10 or 20 numbers (work-items, mixed).",
    ),
    click.option(
        "--iterations",
        type=int,
        show_default="500",
        help="Work of each work item (work-items, mixed).",
    ),
    click.option(
        "--work-ratio",
        type=float,
        metavar="FRACTION",
        show_default="0.5",
        help="Fraction of records that are work items (mixed).",
    ),
)


def made_records_options(command: Command) -> Command:
    """Add the options for records that are made from a seed to a command."""
    for option in reversed(_MADE_RECORDS):
        command = option(command)
    return command


def call_with_options(function: Callable[..., T], owner: str, **values: object) -> T:
    """Call a function of a workload or an engine with the options that were given.

    Args:
        function: Its parameters are the options that it knows.
        owner: What it belongs to, for messages: "workload events".
        **values: The options by parameter; None if the option was not given.

    Raises:
        UsageError: The function has no such parameter, or an option without a default
            was not given.
    """
    parameters = inspect.signature(function).parameters
    given = {name: value for name, value in values.items() if value is not None}
    for name in given:
        if name not in parameters:
            if name == "more" and "path" in parameters:
                raise UsageError(f"IN: {owner} takes one input only")
            raise UsageError(f"{_option(name)}: {owner} takes none")
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in given:
            raise UsageError(f"{owner} needs {_option(name)}")
    return function(**given)


def _option(parameter: str) -> str:
    return "IN" if parameter in {"path", "more"} else f"--{parameter.replace('_', '-')}"
