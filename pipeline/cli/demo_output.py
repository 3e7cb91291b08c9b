"""The tables that `pipeline demo` prints, each row once it is measured."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from rich.console import Console

from pipeline.accounting import RunReport
from pipeline.cli.progress import Schedule

_GAP = "  "
#: Ratios of less are called the same.
_ALIKE = 1.1


class BatchingTable:
    """The throughput of both engines by batch size, in medians.

    The first row must be batch size 1, at which the monolith runs event by event.
    """

    _COLUMNS = (
        "batch size",
        " split/s",
        "× size 1",
        "monolith/s",
        "× same",
        "× by event",
        " writes",
        "IPC",
        "elapsed",
        "left",
    )

    def __init__(self, console: Console) -> None:
        self._rows = _Rows(console, self._COLUMNS)
        self._console = console
        self._first: tuple[float, float] | None = None

    def add(
        self,
        split: Sequence[RunReport],
        monolith: Sequence[RunReport],
        schedule: Schedule,
    ) -> None:
        """Print the row of a batch size, from the runs of each engine."""
        split_per_s, monolith_per_s = _per_s(split), _per_s(monolith)
        if self._first is None:
            self._first = split_per_s, monolith_per_s
        first_split_per_s, by_event_per_s = self._first
        self._rows.add(
            f"{split[0].batch_size:,}",
            f"{split_per_s:,.0f}",
            f"{split_per_s / first_split_per_s:.1f}",
            f"{monolith_per_s:,.0f}",
            f"{split_per_s / monolith_per_s:.2f}",
            f"{split_per_s / by_event_per_s:.2f}",
            f"{split[0].stream_writes:,}",
            f"{statistics.median(report.ipc_share for report in split):.0%}",
            *_times(schedule),
        )

    def explain(self) -> None:
        """Print what the columns mean."""
        self._console.print(
            "× size 1: times the split at batch size 1. × same: times the monolith at "
            "the same batch size. × by event: times the monolith event by event. "
            "Writes: batches sent to parse, rules and aggregate. IPC: its share of all "
            "CPU time."
        )


class WorkTable:
    """Rounds of runs of CPU-bound work, and what their ratios show.

    Args:
        runs: The batch size and the number of parse servers of each run of a round.
        console: Where to print.
    """

    def __init__(self, runs: Sequence[tuple[int, int]], console: Console) -> None:
        self._console = console
        self._names = [f"{size} × {servers}" for size, servers in runs]
        self._rounds: list[list[RunReport]] = []
        console.print("Items a second, by batch size × parse servers:")
        widths = [f"{name:>8}" for name in self._names]
        self._rows = _Rows(console, ("round", *widths, "elapsed", "left"))

    def add(self, reports: Sequence[RunReport], schedule: Schedule) -> None:
        """Print the row of a round, from its runs."""
        self._rounds.append(list(reports))
        self._rows.add(
            f"{len(self._rounds)}",
            *(f"{report.throughput_per_s:,.1f}" for report in reports),
            *_times(schedule),
        )

    def compare(self) -> None:
        """Print each run against the first, and its IPC share.

        The lowest and the highest of n ratios enclose their median with a confidence
        of 1 - 2 / 2^n, however they are distributed.
        """
        confidence = 1 - 2 / 2 ** len(self._rounds)
        self._console.print(
            f"Against the first, within the same round: the median ratio and its "
            f"{confidence:.0%} interval."
        )
        rows = _Rows(
            self._console,
            (" " * 8, "ratio", "     interval", "IPC", "          so it is"),
        )
        first, *others = zip(*self._rounds, strict=True)
        ipc_share = statistics.median(report.ipc_share for report in first)
        rows.add(self._names[0], "1.00", "", f"{ipc_share:.0%}", "")
        for name, reports in zip(self._names[1:], others, strict=True):
            ratios = [
                report.throughput_per_s / reference.throughput_per_s
                for report, reference in zip(reports, first, strict=True)
            ]
            low, high = min(ratios), max(ratios)
            rows.add(
                name,
                f"{statistics.median(ratios):.2f}",
                f"{low:.2f} to {high:.2f}",
                f"{statistics.median(report.ipc_share for report in reports):.0%}",
                _finding(low, high),
            )


class PolyglotTable:
    """The throughput of the split with stages in each language, by batch size.

    Args:
        names: What the languages are called; every other is compared with the first.
        console: Where to print.
    """

    def __init__(self, names: Sequence[str], console: Console) -> None:
        self._names = names
        self._rows = _Rows(
            console,
            (
                "batch size",
                f"{'stages in':>{max(map(len, names))}}",
                " events/s",
                "ratio",
                "    interval",
                "CPU µs",
                "peak MiB",
            ),
        )

    def add(self, rounds: Sequence[Sequence[RunReport]]) -> None:
        """Print the rows of a batch size, from the runs of each round."""
        by_language = list(zip(*rounds, strict=True))
        for name, reports in zip(self._names, by_language, strict=True):
            ratios = sorted(
                report.throughput_per_s / reference.throughput_per_s
                for report, reference in zip(reports, by_language[0], strict=True)
            )
            stages = [list(report.stages.values()) for report in reports]
            cpu_s = statistics.median(
                sum(stage.cpu_s for stage in each) / report.records.ingested
                for each, report in zip(stages, reports, strict=True)
            )
            peak = max(stage.peak_rss_bytes for each in stages for stage in each)
            self._rows.add(
                f"{reports[0].batch_size:,}",
                name,
                f"{_per_s(reports):,.0f}",
                f"{statistics.median(ratios):.2f}",
                ""
                if reports is by_language[0]
                else f"{ratios[0]:.2f} to {ratios[-1]:.2f}",
                f"{cpu_s * 1e6:,.1f}",
                f"{peak / 2**20:,.0f}",
            )


class _Rows:
    """Rows of columns as wide as their titles, right-aligned.

    A row that is wider than the terminal wraps; numbers are never cut.
    """

    def __init__(self, console: Console, titles: Sequence[str]) -> None:
        self._console = console
        self._widths = [len(title) for title in titles]
        self.add(*(title.strip() for title in titles))

    def add(self, *cells: str) -> None:
        """Print a row."""
        line = _GAP.join(
            f"{cell:>{width}}" for cell, width in zip(cells, self._widths, strict=True)
        )
        self._console.print(line.rstrip(), soft_wrap=True)


def _finding(low: float, high: float) -> str:
    """Return in words what the interval of a ratio shows."""
    if low > 1:
        return "faster"
    if high < 1:
        return "slower"
    if low > 1 / _ALIKE and high < _ALIKE:
        return "the same within 10 %"
    return "not known"


def _per_s(reports: Sequence[RunReport]) -> float:
    return statistics.median(report.throughput_per_s for report in reports)


def _times(schedule: Schedule) -> tuple[str, str]:
    return f"{schedule.elapsed_s:.0f} s", f"{schedule.left_s:.0f} s"
