"""The options that say which records a run reads or makes, for `run` and `generate`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import click

from pipeline.errors import UsageError

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])

_MADE_RECORDS = (
    click.option("--seed", type=int, help="The same seed makes the same records [1]."),
    click.option(
        "--payload-size",
        type=click.Choice(["small", "medium", "large"]),
        help="Of work items: vectors of 5, 10 or 20 [medium].",
    ),
    click.option(
        "--iterations", type=int, help="How much work a work item stands for [500]."
    ),
    click.option(
        "--work-ratio",
        type=float,
        metavar="FRACTION",
        help="Fraction of mixed records that are work items [0.5].",
    ),
)


def made_records_options(command: Command) -> Command:
    """Give a command the options of records that are made from a seed."""
    for option in reversed(_MADE_RECORDS):
        command = option(command)
    return command


def call_with_options(function: Callable[..., T], workload: str, **values: object) -> T:
    """Call a function whose parameters are options of a workload.

    None means that the option was not given. Raises UsageError for an option that the
    function does not have, or lacks.
    """
    parameters = inspect.signature(function).parameters
    given = {name: value for name, value in values.items() if value is not None}
    for name in given:
        if name not in parameters:
            raise UsageError(f"{_option(name)}: workload {workload} takes none")
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in given:
            raise UsageError(f"workload {workload} needs {_option(name)}")
    return function(**given)


def _option(parameter: str) -> str:
    return "IN" if parameter == "path" else f"--{parameter.replace('_', '-')}"
