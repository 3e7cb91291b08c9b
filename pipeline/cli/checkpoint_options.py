"""The options of `pipeline run` for runs that resume."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from pipeline.cli.output import STANDARD_OUTPUT, say
from pipeline.errors import UsageError
from pipeline.urls import is_url, redacted

Command = TypeVar("Command", bound=Callable[..., Any])

_ENGINES = ("split", "monolith")


def checkpoint_options(command: Command) -> Command:
    """Add the options for checkpoints to a command."""
    every = click.option(
        "--checkpoint-every",
        type=int,
        metavar="BATCHES",
        show_default="64",
        help="Store the progress after so many batches.",
    )
    folder = click.option(
        "--checkpoint",
        type=click.Path(path_type=Path),
        metavar="FOLDER",
        help="Store the progress in this folder: if the run ends early, the same "
        "command resumes it. The folder is emptied once the result is published.",
    )
    return folder(every(command))


def checkpoint_settings(
    folder: Path | None,
    every: int | None,
    *,
    engine: str,
    outputs: Mapping[str, str | None],
) -> dict[str, Any]:
    """Return the settings of a run with these options.

    Args:
        folder: The value of ``--checkpoint``.
        every: The value of ``--checkpoint-every``.
        engine: The name of the engine.
        outputs: Where the result and the rejects go, by option.

    Raises:
        UsageError: The run can't have a checkpoint.
    """
    if folder is None:
        if every is not None:
            raise UsageError("--checkpoint-every: needs --checkpoint")
        return {}
    for option, output in outputs.items():
        if output is not None and (output == STANDARD_OUTPUT or is_url(output)):
            raise UsageError(
                f"{option} {redacted(output)}: can't be resumed with --checkpoint; "
                f"give a file"
            )
    if engine not in _ENGINES:
        raise UsageError(f"--checkpoint: engine {engine} takes none")

    def tell(records: int) -> None:
        say(f"resuming at record {records + 1:,}, from checkpoint {folder}")

    given = {} if every is None else {"checkpoint_batches": every}
    return {"checkpoint": folder, "on_resume": tell, **given}
