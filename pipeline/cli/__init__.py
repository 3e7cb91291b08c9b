"""The command line: the ``pipeline`` command."""

from __future__ import annotations

import contextlib
import os
import sys
from importlib.metadata import EntryPoint, entry_points
from traceback import extract_tb
from typing import NoReturn

import click
from click.shell_completion import shell_complete

from pipeline.cli.build_stages import build_stages
from pipeline.cli.demo import demo
from pipeline.cli.generate import generate
from pipeline.cli.new import new
from pipeline.cli.output import say
from pipeline.cli.run import run
from pipeline.cli.serve import serve
from pipeline.cli.tune import tune as tune_command
from pipeline.errors import (
    FunctionError,
    PipelineError,
    UsageError,
    one_line,
    raised,
)
from pipeline.standard_streams import open_missing_streams, print_out, use_fallback
from pipeline.transport.environment import configure_process

_DISTRIBUTION = "pytest-grpc-pipeline"
# The shell script that completes commands sets it, with what it asks for.
_COMPLETION = "_PIPELINE_COMPLETE"

#: Each entry point of this group adds a command, a `click.Command`.
_EXTENSIONS = "pipeline.commands"


class _Commands(click.Group):
    """The commands of this package and those of entry points.

    Commands of entry points are loaded when they are called or listed, so that they
    cost other commands nothing. They can't replace a command of this package.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(
            {*super().list_commands(ctx), *entry_points(group=_EXTENSIONS).names}
        )

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        extensions = entry_points(group=_EXTENSIONS, name=cmd_name)
        return next(map(_loaded, extensions), None)


def _loaded(entry: EntryPoint) -> click.Command:
    """Return the command, or one that fails with the reason why it can't be loaded."""
    try:
        command = entry.load()
        if isinstance(command, click.Command):
            return command
        why = f"{entry.value} is no click command"
    except Exception as error:
        why = one_line(error)
    provider = entry.dist.name if entry.dist else "an unknown distribution"
    hint = f"; pip install '{provider}[test]'" if provider == _DISTRIBUTION else ""
    message = f"can't be loaded from {provider}: {why}{hint}"

    def refuse() -> None:
        raise UsageError(f"{entry.name} {message}")

    return click.Command(
        entry.name,
        callback=refuse,
        help=message,
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 success, 1 the run failed, 2 wrong usage, 128 + N ended by "
    "signal N: 130 by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP.",
)
@click.version_option(package_name=_DISTRIBUTION)
def cli() -> None:
    """Run a streaming pipeline, split into gRPC stages or in one process.

    \b
    Start with:
      pipeline demo
      pipeline generate events.ndjson --events 100000
      pipeline run events.ndjson --output totals.ndjson
    """  # noqa: D301 - \b keeps click from wrapping the lines below it


for _command in (new, generate, run, demo, tune_command, serve, build_stages):
    cli.add_command(_command)


def main() -> NoReturn:
    """Run the command line and exit; a failure is one line on standard error.

    Raises:
        KeyboardInterrupt: A signal has ended the command; see `pipeline.interrupts`.
    """
    open_missing_streams()
    use_fallback()
    configure_process()
    if instruction := os.environ.get(_COMPLETION):
        sys.exit(shell_complete(cli, {}, "pipeline", _COMPLETION, instruction))
    try:
        # cli.main() would print another line at Ctrl-C.
        with cli.make_context("pipeline", sys.argv[1:]) as context:
            cli.invoke(context)
    except click.exceptions.Exit as end:
        _end(end.exit_code)
    except FunctionError as error:
        # The user's traceback first; our message is the last line.
        with contextlib.suppress(OSError):
            click.echo(error.traceback, file=sys.stderr, nl=False)
        _end(error.exit_code, str(error))
    except PipelineError as error:
        _end(error.exit_code, str(error))
    except click.exceptions.NoArgsIsHelpError as error:
        print_out(f"{error.format_message()}\n")
        _end(error.exit_code)
    except click.ClickException as error:
        asked = error.ctx if isinstance(error, click.UsageError) else None
        hint = f" (try '{asked.command_path} --help')" if asked else ""
        _end(error.exit_code, f"{error.format_message()}{hint}")
    except BrokenPipeError:
        _end(0)
    except OSError as error:
        _end(1, f"failed: {error}")
    except Exception as error:
        _end(1, f"failed: {raised(error)}{_place_of(error)}; please report this defect")
    _end(0)


def _place_of(error: Exception) -> str:
    """Return file and line where ``error`` was raised."""
    frames = extract_tb(error.__traceback__)
    return f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""


def _end(exit_code: int, message: str = "") -> NoReturn:
    if message:
        say(message)
    # What is still buffered is flushed here, since a failure at exit would be a
    # traceback.
    error = print_out("")
    if exit_code == 0 and error and not isinstance(error, BrokenPipeError):
        say(f"can't write standard output: {one_line(error)}")
        exit_code = 1
    sys.exit(exit_code)
