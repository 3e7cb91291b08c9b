"""What the commands show people: progress, the summary, the demo's table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pipeline.accounting import RunReport

_MIB = 1024 * 1024


@contextmanager
def progress() -> Iterator[Callable[[int], None]]:
    """Show the records settled so far while standard error is a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    line = _ProgressLine()
    with Live(get_renderable=line.show, console=console, transient=True):
        yield line.take


class _ProgressLine:
    """Keeps the last count, which is cheap, and is drawn a few times a second."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._settled = 0

    def take(self, settled: int) -> None:
        self._settled = settled

    def show(self) -> Text:
        elapsed = time.monotonic() - self._start
        speed = self._settled / elapsed
        return Text(f"{self._settled:,} records, {speed:,.0f}/s, {elapsed:.0f} s")


@contextmanager
def working(what: str) -> Iterator[None]:
    """Say what is under way while standard error is a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status(what):
        yield


def print_summary(report: RunReport, output: Path) -> None:
    """Print the counts, the rejections by reason, and where each stage's time went."""
    console = Console(highlight=False)
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
        f"{report.batches:,} batches of {report.batch_size:,}; "
        + (
            f"IPC share {report.ipc_share:.0%}, {report.startup_s:.2f} s to start"
            if report.engine == "split"
            else "one process"
        ),
        soft_wrap=True,
    )
    console.print(_stage_table(report))


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
    if report.engine == "split":
        table.add_row(
            "orchestrator",
            *[""] * 5,
            f"{report.cpu_s:.2f}",
            f"{report.peak_rss_bytes / _MIB:.0f}",
            "",
        )
    return table


@dataclass(frozen=True, slots=True)
class BatchingRow:
    """The two engines at one batch size."""

    split: RunReport
    monolith: RunReport


def print_batching(rows: Sequence[BatchingRow], console: Console) -> None:
    """Print what batching does to the split, against itself and against the monolith.

    The first row is batch size 1, where the monolith goes event by event.
    """
    table = _table(
        "batch size",
        "split/s",
        "× size 1",
        "monolith/s",
        "× same",
        "× by event",
        "writes",
        "IPC",
    )
    first = rows[0]
    for row in rows:
        split, monolith = row.split, row.monolith
        table.add_row(
            f"{split.batch_size:,}",
            f"{split.throughput_per_s:,.0f}",
            f"{split.throughput_per_s / first.split.throughput_per_s:.1f}",
            f"{monolith.throughput_per_s:,.0f}",
            f"{split.throughput_per_s / monolith.throughput_per_s:.2f}",
            f"{split.throughput_per_s / first.monolith.throughput_per_s:.2f}",
            f"{split.stream_writes:,}",
            f"{split.ipc_share:.0%}",
        )
    console.print(table)
    console.print(
        "× size 1: against the split at batch size 1. × same, × by event: against the\n"
        "monolith at the same batch size, and event by event. Writes: batches that\n"
        "went to parse, rules and aggregate. IPC: its share of all CPU."
    )


def print_replicas(rows: Sequence[RunReport], console: Console) -> None:
    """Print what batching and replicas of parse do, against the first row."""
    table = _table("batch size", "parse servers", "split/s", "× first", "IPC")
    for row in rows:
        table.add_row(
            f"{row.batch_size:,}",
            f"{row.stages['parse'].replicas}",
            f"{row.throughput_per_s:,.1f}",
            f"{row.throughput_per_s / rows[0].throughput_per_s:.2f}",
            f"{row.ipc_share:.0%}",
        )
    console.print(table)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        table.add_column(name, justify="right")
    return table
