"""The results of a session as tables of text, for page, Markdown and terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pipeline.accounting import RunReport
from pytest_pipeline.measure.results import (
    Compared,
    Interval,
    LanguageRuns,
    Latency,
    Measured,
    Session,
    Variant,
)
from pytest_pipeline.report.analysis import (
    PHASES,
    Batching,
    Work,
    batchings,
    by_kind,
    comparisons,
    kind,
    of_group,
    phase_shares,
    server_count,
    servers,
    speed_of,
    with_speed,
    works,
)
from pytest_pipeline.report.formatting import count, duration, share, spread, times
from pytest_pipeline.report.languages import compared, ratio

_V = TypeVar("_V")

_MIB = 1024 * 1024
_LATENCY_PARTS = ("total", "filling", "queueing", "service")


@dataclass(frozen=True)
class Table:
    """Rows of text. The first ``texts`` columns are words, the others numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    texts: int = 0


#: What the note of a table says of engines that are measured where they are installed.
_OPTIONAL: dict[Variant, str] = {
    "flight": (
        " flight: Arrow Flight between transform stages in processes, with ingest and "
        "sink in one; no replicas, health checks or time of stages."
    ),
    "bytewax": " bytewax: one process; no transport, parallel stages, time of stages.",
    "dask": " dask: a worker for each core, once started; a short run is one part.",
}


def all_tables(session: Session) -> list[Table]:
    """Return the tables of a session, without those of single stages."""
    made = [
        *(batching_table(one) for one in batchings(session, "batching")),
        crossover_table(works(session)),
        *(batching_table(one) for one in batchings(session, "mixed")),
        replicas_table(of_group(session, "replicas")),
        transports_table(of_group(session, "transports")),
        latency_table(of_group(session, "latency")),
        latency_table(of_group(session, "load")),
        *languages_tables(session),
        comparisons_table(comparisons(session)),
    ]
    return [table for table in made if table.rows]


def batching_table(batching: Batching) -> Table:
    """Return throughput, stream writes, bytes and IPC share by batch size."""
    runs = batching.split_runs

    def speed(variant: Variant) -> Callable[[int], str]:
        return lambda size: _said(batching.of(variant).get(size), _median)

    columns: dict[str, Callable[[int], str]] = {
        "batch size": count,
        "split/s": speed("split"),
        "rounds": lambda size: _said(batching.of("split").get(size), spread),
        "× size 1": lambda size: _said(batching.gain(size), times),
        "floor/s": speed("floor"),
        "queues/s": speed("queues"),
        "flight/s": speed("flight"),
        "bytewax/s": speed("bytewax"),
        "dask/s": speed("dask"),
        "monolith/s": speed("monolith"),
        "writes": lambda size: _said(runs.get(size), _writes),
        "record bytes": lambda size: _said(runs.get(size), _bytes_per_record),
        "IPC": lambda size: _said(runs.get(size), _ipc),
    }
    return _filled(
        f"{batching.workload}: throughput by batch size",
        columns,
        batching.sizes,
        note=(
            "/s: records per second, the median round. rounds: the slowest and the "
            "fastest. writes: batches that went to transform stages. record bytes: of "
            "all messages into stages. IPC: its share of all CPU. "
            "monolith at 1: record by record. floor: stages that do nothing. queues: "
            "processes without gRPC."
            f"{''.join(said for name, said in _OPTIONAL.items() if batching.of(name))}"
        ),
    )


def stages_table(batching: Batching) -> Table:
    """Return how each stage spent its time, by batch size."""
    rows = [
        (
            count(size),
            name,
            *(share(value) for value in phase_shares(run, stage).values()),
            f"{stage.cpu_s:.2f}",
            f"{stage.peak_rss_bytes / _MIB:.0f}",
        )
        for size, run in batching.split_runs.items()
        for name, stage in run.stages.items()
    ]
    return Table(
        f"{batching.workload}: where each stage's time went",
        ("batch size", "stage", *PHASES, "CPU s", "MiB"),
        tuple(rows),
        texts=2,
    )


def crossover_table(points: Sequence[Work]) -> Table:
    """Return what batching gains by work per record."""
    rows = [
        (
            count(work.iterations),
            _said(work.processing, share),
            work.compared.first,
            *_ratio(work.compared),
            f"{verdict(work.compared).partition(' ')[0]} {_claim(work.compared)}",
        )
        for work in points
    ]
    return Table(
        "CPU-bound work: what batching gains",
        ("iterations", "work CPU", "gain of", "gain", "interval", "A/A", "claim"),
        tuple(rows),
        note=(
            "work CPU: processing's share of all CPU at batch size 1. gain: times as "
            "fast as at batch size 1. A/A: the noise floor, the ratio of two runs of "
            "the same. claim: ✓ holds, ✗ does not, ? inconclusive."
        ),
    )


def replicas_table(measured: Sequence[Measured]) -> Table:
    """Return throughput by number of servers, and the factor to the fewest."""
    ordered = sorted(
        with_speed(measured), key=lambda one: (*kind(one), server_count(one))
    )
    alike = {kind(of[0]): of for of in by_kind(ordered)}

    def against_fewest(one: Measured) -> str:
        fewest, *more = alike[kind(one)]
        return times(speed_of(one) / speed_of(fewest)) if more else ""

    columns: dict[str, Callable[[Measured], str]] = {
        "workload": lambda one: one.workload,
        "servers": servers,
        "iterations": lambda one: _said(one.iterations, count),
        "batch size": lambda one: count(one.batch_size),
        "split/s": lambda one: count(speed_of(one)),
        "rounds": lambda one: _said(one.throughput, spread),
        "× fewest": against_fewest,
        "IPC": lambda one: _said(one.run, _ipc),
    }
    return _filled(
        "Replicas: throughput by number of servers", columns, ordered, texts=2
    )


def transports_table(measured: Sequence[Measured]) -> Table:
    """Return throughput by transport."""
    columns: dict[str, Callable[[Measured], str]] = {
        "workload": lambda one: one.workload,
        "transport": lambda one: one.transport,
        "batch size": lambda one: count(one.batch_size),
        "split/s": lambda one: count(speed_of(one)),
        "rounds": lambda one: _said(one.throughput, spread),
        "IPC": lambda one: _said(one.run, _ipc),
    }
    ordered = sorted(
        with_speed(measured), key=lambda one: (one.workload, one.batch_size)
    )
    return _filled("Transports: throughput", columns, ordered, texts=2)


def latency_table(measured: Sequence[Measured]) -> Table:
    """Return latency percentiles by batch size, rate and part."""
    parts = [
        (one, one.latency, part)
        for one in sorted(
            measured,
            key=lambda one: (
                one.workload,
                one.batch_size,
                one.latency.rate_per_s if one.latency else 0,
            ),
        )
        if one.latency is not None
        for part in _LATENCY_PARTS
    ]

    several = len({(one.workload, one.transport) for one, _, _ in parts}) > 1

    def percentile(name: str) -> Callable[[tuple[Measured, Latency, str]], str]:
        return lambda row: duration(getattr(getattr(row[1], row[2]), name))

    return _filled(
        "Latency: from when a record was due until it was done",
        {
            "workload": lambda row: row[0].workload if several else "",
            "part": lambda row: row[2],
            "transport": lambda row: row[0].transport if several else "",
            "batch size": lambda row: (
                count(row[0].batch_size) if row[0].batch_size else "auto"
            ),
            "due/s": lambda row: count(row[1].rate_per_s),
            "p50": percentile("p50"),
            "p99": percentile("p99"),
            "p99.9": percentile("p999"),
        },
        parts,
        note=(
            "filling: until the last record of its batch was due. queueing: from then "
            "until the batch was sent. service: from then until the last transform "
            "stage had answered. Percentiles of parts do not add up."
        ),
        texts=2 if several else 1,
    )


def languages_tables(session: Session) -> list[Table]:
    """Return the comparisons of languages: of the pipeline, then of single stages."""
    whole, alone = (compared(session, alone=is_alone) for is_alone in (False, True))
    by_workload: dict[str, list[Measured]] = {}
    for one in whole:
        by_workload.setdefault(one.workload, []).append(one)
    made = [
        *(languages_table(name, of) for name, of in by_workload.items()),
        *(stage_cpu_table(name, of) for name, of in by_workload.items()),
        stages_alone_table(alone),
    ]
    return [table for table in made if table.rows]


def languages_table(workload: str, measured: Sequence[Measured]) -> Table:
    """Return throughput, CPU and memory of the whole pipeline by language."""
    columns: dict[str, Callable[[_Compared], str]] = {
        "stages in": lambda row: row.runs.language,
        "iterations": lambda row: _said(row.measured.iterations, count),
        "batch size": _size,
        **_SPEEDS,
        "stages µs": lambda row: _micros(sum(row.runs.cpu_s.values())),
        "orchestrator µs": lambda row: _micros(row.runs.driver_cpu_s),
        "peak MiB": lambda row: f"{sum(row.runs.peak_rss_bytes.values()) / _MIB:.0f}",
    }
    return _filled(
        f"Languages: {workload}, the whole pipeline",
        columns,
        _rows_of(measured),
        note=(
            "/s: records per second, the median round. × python: in the same round, "
            "with the 99% interval. µs: CPU for a record, of all stages and of the "
            "orchestrator, which is in Python. peak MiB: resident memory, all stages "
            "together, up to this row. best: the fastest batch size of the language."
        ),
        texts=1,
    )


def stage_cpu_table(workload: str, measured: Sequence[Measured]) -> Table:
    """Return the CPU of each stage for a record, by language."""
    rows = _rows_of(measured)
    stages = dict.fromkeys(stage for row in rows for stage in row.runs.cpu_s)

    def cpu(stage: str) -> Callable[[_Compared], str]:
        return lambda row: _said(row.runs.cpu_s.get(stage), _micros)

    columns: dict[str, Callable[[_Compared], str]] = {
        "stages in": lambda row: row.runs.language,
        "iterations": lambda row: _said(row.measured.iterations, count),
        "batch size": _size,
        **{f"{stage} µs": cpu(stage) for stage in stages},
    }
    return _filled(
        f"Languages: {workload}, CPU of each stage for a record",
        columns,
        rows,
        texts=1,
    )


def stages_alone_table(measured: Sequence[Measured]) -> Table:
    """Return throughput and CPU of one stage under load, by language."""
    columns: dict[str, Callable[[_Compared], str]] = {
        "stage": lambda row: row.measured.stage,
        "in": lambda row: row.runs.language,
        "batch size": _size,
        **_SPEEDS,
        "stage µs": lambda row: _micros(sum(row.runs.cpu_s.values())),
        "load µs": lambda row: _micros(row.runs.driver_cpu_s),
    }
    return _filled(
        "Languages: one stage alone under load",
        columns,
        _rows_of(measured),
        note=(
            "µs: CPU for a record, of the stage and of the process that sends the "
            "load. Where the load takes more than the stage, it is the load that "
            "bounds the throughput, and only the CPU compares the stages."
        ),
        texts=2,
    )


def comparisons_table(compared: Sequence[tuple[str, Compared]]) -> Table:
    """Return each comparison with its evidence and verdict."""
    rows = [
        (name, question(one), *_ratio(one), str(one.rounds), verdict(one))
        for name, one in compared
    ]
    return Table(
        "Comparisons",
        ("test", "claim", "ratio", "interval", "A/A", "rounds", "verdict"),
        tuple(rows),
        note=(
            "ratio: how many times as fast the first is, from interleaved rounds. A/A: "
            "the noise floor, the ratio of two runs of the same."
        ),
        texts=2,
    )


@dataclass(frozen=True)
class _Compared:
    """One language in a comparison."""

    measured: Measured
    runs: LanguageRuns

    @property
    def ratio(self) -> Interval | None:
        """How many times as fast as the first language; None for that one itself."""
        first = self.measured.languages[0]
        return None if self.runs is first else ratio(self.runs, first)


_SPEEDS: dict[str, Callable[[_Compared], str]] = {
    "/s": lambda row: _said(row.runs.throughput, _median),
    "× python": lambda row: _said(row.ratio, lambda of: times(of.value)),
    "interval": lambda row: _said(row.ratio, _ends),
}


def _rows_of(measured: Sequence[Measured]) -> list[_Compared]:
    return [_Compared(one, runs) for one in measured for runs in one.languages]


def _size(row: _Compared) -> str:
    size = count(row.runs.batch_size)
    return size if row.measured.batch_size else f"best: {size}"


def _micros(seconds: float) -> str:
    return f"{seconds * 1e6:,.3g}" if seconds < 1e-3 else count(seconds * 1e6)


def _ends(interval: Interval) -> str:
    return f"{times(interval.low)}–{times(interval.high)}"


def question(compared: Compared) -> str:
    """Return the claim of a comparison."""
    return f"{compared.first}: {_claim(compared)} than {compared.second}"


def verdict(compared: Compared) -> str:
    """Return the verdict on the claim."""
    if compared.outcome == "inconclusive":
        return "? inconclusive"
    return "✓ holds" if compared.outcome == compared.claim else "✗ does not hold"


def _median(interval: Interval) -> str:
    return count(interval.value)


def _writes(run: RunReport) -> str:
    return count(run.stream_writes)


def _ipc(run: RunReport) -> str:
    return share(run.ipc_share)


def _bytes_per_record(run: RunReport) -> str:
    into_stages = sum(stage.bytes_in for stage in run.stages.values())
    return count(round(into_stages / max(run.records.ingested, 1)))


def _claim(compared: Compared) -> str:
    by = "" if compared.by == 1 else f" by {compared.by:g}"
    return f"{compared.claim}{by}"


def _ratio(compared: Compared) -> tuple[str, str, str]:
    ratio = compared.ratio
    return (
        times(ratio.value),
        f"{times(ratio.low)}–{times(ratio.high)} ({ratio.confidence:.0%})",
        times(compared.floor),
    )


def _said(value: _V | None, say: Callable[[_V], str]) -> str:
    return "" if value is None else say(value)


def _filled(
    title: str,
    columns: dict[str, Callable[[_V], str]],
    of: Sequence[_V],
    note: str = "",
    texts: int = 0,
) -> Table:
    """Return a table of the columns that are not empty."""
    said = {name: [say(one) for one in of] for name, say in columns.items()}
    kept = {name: cells for name, cells in said.items() if any(cells)}
    rows = tuple(zip(*kept.values(), strict=True))
    return Table(title, tuple(kept), rows, note, texts)
