"""The options that say what a source reads, for `run` and `generate`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from pipeline.stage import Workload

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--max-line-bytes", type=int, help="Reject longer lines [1 MiB]."),
    click.option("--records", type=int, help="Records to make."),
    click.option("--seed", type=int, help="The same seed makes the same records [1]."),
    click.option(
        "--payload-size",
        type=click.Choice(["small", "medium", "large"]),
        help="Of a work item: vectors of 5, 10 or 20 [medium].",
    ),
    click.option("--iterations", type=int, help="Work a work item stands for [500]."),
    click.option(
        "--work-ratio",
        type=float,
        help="Fraction of the mixed records that are work items [0.5].",
    ),
)


def source_options(command: F) -> F:
    """Give a command the options of all sources."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def described_source(workload: Workload, **values: object) -> Message:
    """Describe the source of ``workload``; None means that an option was not given.

    Raises UsageError for an option that the source does not know or that it lacks.
    """
    parameters = inspect.signature(workload.source.describe).parameters
    given = {name: value for name, value in values.items() if value is not None}
    for name in given:
        if name not in parameters:
            raise UsageError(f"{_option(name)}: workload {workload.name} takes none")
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in given:
            raise UsageError(f"workload {workload.name} needs {_option(name)}")
    spec: Message = workload.source.describe(**given)
    return spec


def _option(parameter: str) -> str:
    return "IN" if parameter == "path" else f"--{parameter.replace('_', '-')}"
