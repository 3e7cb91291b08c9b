"""The summary that `pipeline run` prints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipeline.accounting import CRASHED_THE_STAGE, RunReport
from pipeline.batching import AUTO
from pipeline.cli.output import say
from pipeline.decoding import unwrapped
from pipeline.errors import PipelineError
from pipeline.inputs import Inputs
from pipeline.looks import looks_like
from pipeline.stages import INGEST

_SNIFFED_BYTES = 4096
_MIB = 1024 * 1024
# Of records that ended servers; the report and the rejects have all.
_MOST_NUMBERS = 10
# On a narrower terminal lines wrap, so that no number of the table is cut.
_LEAST_WIDTH = 90


def print_summary(report: RunReport, output: str, console: Console) -> None:
    """Print the counts, the rejections by reason, and the time of each stage."""
    console.width = max(console.width, _LEAST_WIDTH)
    records = report.records
    console.print(
        f"{records.ingested:,} records: {records.passed:,} passed, "
        f"{records.filtered:,} filtered, {records.rejected:,} rejected → {output}",
        soft_wrap=True,
    )
    for reason, count in report.rejections.items():
        console.print(f"  rejected as {reason}: {count:,}")
    console.print(
        f"{report.throughput_per_s:,.0f} records/s, {report.elapsed_s:.2f} s in "
        f"{report.batches:,} batches of {_sizes(report)}; " + _processes(report),
        soft_wrap=True,
    )
    console.print(_stage_table(report))


def _processes(report: RunReport) -> str:
    if report.engine == "monolith":
        return "one process"
    start = f"{report.startup_s:.2f} s to start"
    if report.engine == "split":
        return f"IPC share {report.ipc_share:.0%}, {start}"
    workers = report.stages[INGEST].replicas
    return f"{workers} {'worker' if workers == 1 else 'workers'}, {start}"


def _sizes(report: RunReport) -> str:
    sizes = report.batch_sizes
    if report.batch_size != AUTO or sizes is None:
        return f"{report.batch_size:,}"
    between = f"{sizes.smallest:,} to {sizes.largest:,}"
    return f"{between} (auto; {sizes.mean:,.0f} on average)"


def warn_of_rejects(report: RunReport, inputs: Sequence[str]) -> None:
    """Warn on standard error if every record was rejected.

    Args:
        report: The account of the run.
        inputs: The inputs; the first bytes of the first tell what it may be.
    """
    records = report.records
    if not 0 < records.ingested == records.rejected:
        return
    reason = max(report.rejections, key=lambda reason: report.rejections[reason])
    looks = looks_like(_first_bytes(inputs[0])) if inputs else ""
    say(
        f"warning: all {records.ingested:,} records were rejected, most as {reason}"
        + (f"; IN looks like {looks}" if looks else "")
    )


def tell_recoveries(report: RunReport) -> None:
    """Tell on standard error which stages have lost servers that were replaced."""
    for name, stage in report.stages.items():
        if stage.recoveries:
            times = "once" if stage.recoveries == 1 else f"{stage.recoveries} times"
            last = "" if stage.recoveries == 1 else "the last time "
            say(
                f"warning: stage {name} has lost a server {times}, "
                f"{last}{stage.last_loss}; "
                f"{_crashes(stage.crashed_at) or 'the result is whole'}"
            )


def _crashes(records: Sequence[int]) -> str:
    """Return what to say of records that ended servers; nothing without any."""
    if not records:
        return ""
    numbers = ", ".join(map(str, records[:_MOST_NUMBERS]))
    more = f" and {len(records) - _MOST_NUMBERS} more"
    which = numbers + (more if len(records) > _MOST_NUMBERS else "")
    return f"rejected as {CRASHED_THE_STAGE}: record{'s' * (len(records) > 1)} {which}"


def _first_bytes(input_: str) -> bytes:
    """Return the beginning of an input; nothing of what can be read only once."""
    if not Path(input_).is_file():
        return b""
    try:
        with Inputs().open(input_) as file:
            return unwrapped(file, input_, _SNIFFED_BYTES)[0]
    except PipelineError:
        return b""


def _stage_table(report: RunReport) -> Table:
    table = Table(
        title="seconds by stage", title_justify="left", box=None, pad_edge=False
    )
    table.add_column("stage")
    for name in (
        "wait",
        "decode",
        "process",
        "encode",
        "send",
        "CPU",
        "MiB",
        "messages",
    ):
        table.add_column(name, justify="right")
    for name, stage in report.stages.items():
        seconds = stage.seconds
        table.add_row(
            name,
            *(
                f"{value:.2f}"
                for value in (
                    seconds.wait,
                    seconds.decode,
                    seconds.process,
                    seconds.encode,
                    seconds.send,
                    stage.cpu_s,
                )
            ),
            f"{stage.peak_rss_bytes / _MIB:.0f}",
            f"{max(stage.messages_in, stage.messages_out):,}",
        )
    if report.engine != "monolith":
        table.add_row(
            "orchestrator" if report.engine == "split" else "driver",
            *[""] * 5,
            f"{report.cpu_s:.2f}",
            f"{report.peak_rss_bytes / _MIB:.0f}",
            "",
        )
    return table
