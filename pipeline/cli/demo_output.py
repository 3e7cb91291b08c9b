"""The tables that `pipeline demo` prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from pipeline.accounting import RunReport


@dataclass(frozen=True, slots=True)
class BatchingRow:
    """The runs of both engines at one batch size."""

    split: RunReport
    monolith: RunReport


def print_batching(rows: Sequence[BatchingRow], console: Console) -> None:
    """Print the throughput of both engines by batch size.

    The first row must be batch size 1, at which the monolith runs event by event.
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
        "× size 1: times the split at batch size 1. × same: times the monolith at the\n"
        "same batch size. × by event: times the monolith event by event. Writes:\n"
        "batches sent to parse, rules and aggregate. IPC: its share of all CPU time."
    )


def print_replicas(rows: Sequence[RunReport], console: Console) -> None:
    """Print the throughput by batch size and replicas of parse."""
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
