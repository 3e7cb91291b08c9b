"""The command `pipeline tune`."""

from __future__ import annotations

import inspect
import math
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from pipeline.cli.files import check_distinct, is_read_once
from pipeline.cli.output import say
from pipeline.cli.server_options import addresses_of, replicas_of, servers_options
from pipeline.cli.source_options import call_with_options, made_records_options
from pipeline.errors import SinkError, UsageError
from pipeline.inputs import STANDARD_INPUT
from pipeline.interrupts import ignore_interrupts
from pipeline.languages import programs_of
from pipeline.publishing import Draft
from pipeline.stages import INGEST, SINK

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from pipeline.workload import Workload


_SIZES = "1,2,5,10,20,50,100,200,500,1000,2000,5000,10000"
# More than any run reaches.
_RECORDS = 100_000_000
# Fewer rounds have too few different resamples for an interval.
_LEAST_ROUNDS = 3


@click.command(short_help="Find a good batch size for a workload.")
@click.argument("input_", metavar="[IN]", required=False)
@click.option(
    "--workload",
    "workload_name",
    default="events",
    show_default=True,
    metavar="NAME",
    help="events, work-items, mixed, or package.module:attribute of your own.",
)
@click.option(
    "--sizes",
    default=_SIZES,
    show_default="1, 2, 5, … to 10000",
    metavar="N,…",
    help="Batch sizes to measure.",
)
@click.option(
    "--rounds",
    default=7,
    show_default=True,
    help="How often to measure each size. More rounds narrow the intervals.",
)
@click.option(
    "--seconds-per-run",
    "seconds",
    default=0.3,
    show_default=True,
    help="Approximate length of a run.",
)
@click.option(
    "--json",
    "json_",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the measurements and the fit as JSON.",
)
@click.option(
    "--records",
    type=int,
    show_default="no limit",
    help="Most records to make in a run (work-items, mixed).",
)
@made_records_options
@servers_options
def tune(
    input_: str | None,
    workload_name: str,
    sizes: str,
    rounds: int,
    seconds: float,
    json_: Path | None,
    replicas: str,
    stages: tuple[str, ...],
    languages: str,
    transport: Literal["unix", "tcp"],
    **source_values: object,
) -> None:
    """Measure the split at several batch sizes and recommend one.

    IN is a file. Each run reads its first records. The workloads work-items and mixed
    make their records and take no IN.

    Every round measures each batch size once. From the rounds, tune estimates the cost
    of a batch and the cost of a record. Among 1, 2, 5, 10, 20, 50 and so on, it
    recommends the smallest size whose throughput is within 10 % of the best.

    It fails unless every result is byte-identical to that of the monolith. It takes
    under a minute with the default options.

    Exit codes: 0 success, 1 a run failed, 2 wrong usage, 128 + N ended by signal N.
    """
    # Imported here so that --help loads neither gRPC nor numpy.
    from pipeline.cli.progress import steps
    from pipeline.cli.tune_output import Tuning, left_out, print_tuning
    from pipeline.engines.base import RunSettings
    from pipeline.engines.monolith import MonolithEngine
    from pipeline.engines.split import SplitEngine
    from pipeline.transport.processes import StageServers
    from pipeline.tuning.cost import fit
    from pipeline.tuning.sweep import SweepRuns, plan, sweep
    from pipeline.workloads import workload_named

    batch_sizes = _batch_sizes(sizes)
    _check_effort(rounds, seconds)
    addresses, counts = addresses_of(stages), replicas_of(replicas)
    for name in (INGEST, SINK):
        if name in addresses:
            raise UsageError(
                f"--stage {name}: tune reads IN and the results here; give addresses "
                f"of transform stages only"
            )
    if input_ is not None and (input_ == STANDARD_INPUT or is_read_once(input_)):
        raise UsageError(
            f"IN {input_}: is read once for each run, which only a file can be; give a "
            f"file"
        )
    check_distinct({"IN": Path(input_) if input_ else None, "--json": json_})
    workload = workload_named(workload_name)
    programs = programs_of(languages, workload) if languages else {}
    path = Path(input_).absolute() if input_ else None
    source = _source(workload, path, source_values)
    missing = [
        name
        for name in workload.stage_names
        for _ in range(counts.get(name, 1) - len(addresses.get(name, ())))
    ]
    with ExitStack() as stack:
        draft = stack.enter_context(Draft(json_)) if json_ else None
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="pipeline-tune-"))
        ).resolve()
        show = stack.enter_context(steps())
        show("starting the stage servers")
        folders = {SINK: [folder], INGEST: [path.resolve().parent] if path else []}
        servers = stack.enter_context(
            StageServers(
                workload.name,
                missing,
                transport=transport,
                folders=folders,
                programs=programs,
            )
        )
        for name, started in servers.addresses.items():
            addresses.setdefault(name, []).extend(started)
        runs = SweepRuns(
            SplitEngine(addresses, replicas=counts),
            MonolithEngine(),
            RunSettings(
                workload=workload,
                source=source,
                input=str(path) if path else "",
                output=folder / "result",
            ),
        )
        show("finding how many records to run at each batch size")
        planned = plan(runs.run, batch_sizes, seconds)
        if len(planned.records) < 2:
            why = " ".join(left_out(planned, seconds)).rstrip(".")
            raise UsageError(
                f"--sizes: fewer than two are left to compare; give smaller ones. {why}"
            )
        taken = sweep(
            runs.run_and_check,
            planned.records,
            rounds,
            lambda number, size: show(
                f"round {number} of {rounds}, batch size {size:,}"
            ),
        )
        tuning = Tuning(
            workload=workload.name,
            transport=transport,
            replicas=counts,
            seconds_per_run=seconds,
            plan=planned,
            rounds=taken,
            message_bytes=runs.message_bytes,
            cost=fit(taken),
        )
        if draft is not None:
            draft.write(tuning.to_json())
            draft.seal()
            ignore_interrupts()
            draft.publish()
    try:
        print_tuning(tuning)
    except SinkError as error:
        if json_ is None:
            raise
        say(f"{json_} is published, but its summary is not printed: {error}")


def _source(
    workload: Workload, path: Path | None, values: Mapping[str, object]
) -> Message:
    """Return the spec; where it needs a number of records, one that no run reaches."""
    records = inspect.signature(workload.source.describe).parameters.get("records")
    if values["records"] is None and records and records.default is records.empty:
        values = {**values, "records": _RECORDS}
    source: Message = call_with_options(
        workload.source.describe,
        f"workload {workload.name}",
        path=str(path) if path else None,
        **values,
    )
    return source


def _batch_sizes(text: str) -> list[int]:
    """Return the batch sizes in --sizes, or raise UsageError."""
    sizes = []
    for part in text.split(","):
        number = part.strip()
        if not (number.isascii() and number.isdigit() and int(number) >= 1):
            raise UsageError(
                f"--sizes {text!r}: must be whole numbers of 1 or more, with commas "
                f"between"
            )
        if int(number) in sizes:
            raise UsageError(f"--sizes {text!r}: {number} is there twice")
        sizes.append(int(number))
    if len(sizes) < 2:
        raise UsageError(f"--sizes {text!r}: must be two or more, to be compared")
    return sizes


def _check_effort(rounds: int, seconds: float) -> None:
    if rounds < _LEAST_ROUNDS:
        raise UsageError(f"--rounds {rounds}: must be {_LEAST_ROUNDS} or more")
    if not 0 < seconds < math.inf:
        raise UsageError(
            f"--seconds-per-run {seconds}: must be a finite number of seconds above 0"
        )
