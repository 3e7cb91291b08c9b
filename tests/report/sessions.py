"""Sessions and saved files with realistic results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from pipeline.accounting import Records, RunReport, Seconds, StageReport
from pytest_pipeline.measure.results import (
    Compared,
    Interval,
    Latency,
    Machine,
    Measured,
    Percentiles,
    Session,
    Variant,
    to_extra_info,
)

SPLIT = {
    1: 2_251,
    10: 22_048,
    50: 88_889,
    100: 173_097,
    500: 500_000,
    1000: 677_786,
    5000: 700_000,
}
FLOOR = {
    1: 3_000,
    10: 30_000,
    50: 120_000,
    100: 290_000,
    500: 900_000,
    1000: 1_250_000,
    5000: 1_400_000,
}
QUEUES = {
    1: 70_000,
    10: 520_000,
    50: 800_000,
    100: 1_000_000,
    500: 1_200_000,
    1000: 1_350_000,
    5000: 1_360_000,
}
MONOLITH = {
    1: 42_828,
    10: 282_283,
    50: 745_207,
    100: 938_937,
    500: 1_150_000,
    1000: 1_229_943,
    5000: 1_240_000,
}
IPC = {1: 0.91, 10: 0.90, 50: 0.87, 100: 0.84, 500: 0.73, 1000: 0.67, 5000: 0.64}

MACHINE = Machine(
    system="Linux 6.1.0",
    processor="Intel(R) Xeon(R) Processor @ 2.60GHz",
    cores=2,
    python="CPython 3.11.7",
    versions={
        "pytest-grpc-pipeline": "0.1.0",
        "grpcio": "1.85.3",
        "protobuf": "7.36.2",
        "msgspec": "0.22.0",
        "numpy": "2.4.6",
        "pytest": "9.2.0",
        "pytest-benchmark": "5.3.1",
    },
)


def rounds(median: float) -> list[float]:
    """Return seven rounds around a median."""
    return [
        median * factor for factor in (1.012, 0.97, 1.0, 0.985, 1.031, 1.004, 0.991)
    ]


def run_report(
    workload: str, batch_size: int, per_s: float, ipc: float, records: int = 50_000
) -> RunReport:
    """Return the account of a run in which small batches cost mostly IPC."""
    elapsed = records / per_s
    batches = -(-records // batch_size)
    working = {
        "ingest": 0.8,
        "parse": 0.75,
        "rules": 0.35,
        "aggregate": 0.25,
        "sink": 0.1,
    }
    stages = {}
    for name, busy in working.items():
        used = elapsed * 0.97
        work = used * busy
        phases = Seconds(
            wait=used - work,
            decode=work * ipc * 0.4,
            process=work * (1 - ipc),
            encode=work * ipc * 0.25,
            send=work * ipc * 0.35,
        )
        stages[name] = StageReport(
            replicas=1,
            messages_in=0 if name == "ingest" else batches,
            messages_out=batches,
            bytes_in=records * 92 + batches * 40,
            bytes_out=records * 40 + batches * 40,
            seconds=phases,
            cpu_seconds=phases,
            cpu_s=work * 0.9,
            peak_rss_bytes=48 * 1024 * 1024,
        )
    return RunReport(
        workload=workload,
        engine="split",
        batch_size=batch_size,
        batches=batches,
        records=Records(
            ingested=records, rejected=0, filtered=records // 2, passed=records // 2
        ),
        rejections={},
        elapsed_s=elapsed,
        throughput_per_s=per_s,
        startup_s=0.3,
        stream_writes=3 * batches,
        ipc_share=ipc,
        cpu_s=elapsed * 0.4,
        peak_rss_bytes=56 * 1024 * 1024,
        stages=stages,
    )


def batching(
    workload: str = "events", slower: float = 1.0
) -> list[tuple[str, Measured]]:
    """Return every variant of a workload at each batch size."""
    variants: tuple[tuple[Variant, dict[int, int]], ...] = (
        ("split", SPLIT),
        ("floor", FLOOR),
        ("queues", QUEUES),
        ("monolith", MONOLITH),
    )
    return [
        (
            f"test_{variant}[{workload}-{size}]",
            Measured(
                group="batching",
                variant=variant,
                workload=workload,
                batch_size=size,
                records=50_000,
                transport="unix" if variant in ("split", "floor") else "",
                throughput_per_s=rounds(per_s / slower),
                ipc_share=[IPC[size]] * 7 if variant == "split" else [],
                run=run_report(workload, size, per_s / slower, IPC[size])
                if variant == "split"
                else None,
            ),
        )
        for variant, speeds in variants
        for size, per_s in speeds.items()
    ]


def compared(
    ratio: float,
    *,
    first: str = "batch size 100",
    second: str = "batch size 1",
    by: float = 1.0,
    width: float = 0.04,
) -> Compared:
    """Return an answer whose interval is ``width`` to each side."""
    low, high = ratio * (1 - width), ratio * (1 + width)
    return Compared(
        first=first,
        second=second,
        claim="faster",
        by=by,
        outcome="faster" if low > by else "not faster" if high < by else "inconclusive",
        ratio=Interval(low, ratio, high, 0.99),
        floor=1.03,
        rounds=12,
    )


def crossover() -> list[tuple[str, Measured]]:
    """Return work items from hardly any work to nothing but work."""
    points = {
        1: (21.0, 0.03),
        100: (18.0, 0.04),
        1_000: (9.2, 0.09),
        10_000: (2.4, 0.36),
        50_000: (1.25, 0.7),
        291_000: (1.06, 0.91),
    }
    return [
        (
            f"test_crossover[{iterations}]",
            Measured(
                group="crossover",
                variant="split",
                workload="work-items",
                batch_size=1,
                records=1_000,
                iterations=iterations,
                run=run_report("work-items", 1, 1_100 * processing, 1 - processing),
                comparisons=[compared(gain, by=1.1)],
            ),
        )
        for iterations, (gain, processing) in points.items()
    ]


def mixed() -> list[tuple[str, Measured]]:
    """Return a workload of both kinds, split and monolith."""
    variants: tuple[tuple[Variant, dict[int, int]], ...] = (
        ("split", {1: 1_900, 10: 9_800, 100: 21_000, 1000: 26_000}),
        ("monolith", {1: 24_000, 10: 30_000, 100: 32_000, 1000: 32_500}),
    )
    return [
        (
            f"test_mixed[{variant}-{size}]",
            Measured(
                group="mixed",
                variant=variant,
                workload="mixed",
                batch_size=size,
                records=10_000,
                throughput_per_s=rounds(per_s),
                run=run_report("mixed", size, per_s, IPC[size], 10_000)
                if variant == "split"
                else None,
            ),
        )
        for variant, speeds in variants
        for size, per_s in speeds.items()
    ]


def replicas() -> list[tuple[str, Measured]]:
    """Return one and two parse servers at three batch sizes."""
    speeds = {
        (1, 1): 84.1,
        (10, 1): 89.1,
        (50, 1): 90.2,
        (1, 2): 135.5,
        (10, 2): 135.7,
        (50, 2): 139.9,
    }
    return [
        (
            f"test_replicas[{size}-{servers}]",
            Measured(
                group="replicas",
                variant="split",
                workload="work-items",
                iterations=291_000,
                batch_size=size,
                replicas={"parse": servers} if servers > 1 else {},
                throughput_per_s=rounds(per_s),
                run=run_report("work-items", size, per_s, 0.1 if size == 1 else 0.02),
            ),
        )
        for (size, servers), per_s in speeds.items()
    ]


def transports() -> list[tuple[str, Measured]]:
    """Return three transports at two batch sizes."""
    speeds = {
        ("unix", 1): 2_251,
        ("tcp", 1): 2_102,
        ("tls", 1): 1_840,
        ("unix", 100): 173_097,
        ("tcp", 100): 166_000,
        ("tls", 100): 151_000,
    }
    return [
        (
            f"test_transports[{transport}-{size}]",
            Measured(
                group="transports",
                variant="split",
                workload="events",
                transport=transport,
                batch_size=size,
                throughput_per_s=rounds(per_s),
                run=run_report("events", size, per_s, IPC[size]),
            ),
        )
        for (transport, size), per_s in speeds.items()
    ]


def latency() -> list[tuple[str, Measured]]:
    """Return latencies at a steady rate: large batches fill slowly."""
    return [
        (
            f"test_latency[{size}]",
            Measured(
                group="latency",
                variant="split",
                workload="events",
                batch_size=size,
                latency=Latency(
                    rate_per_s=1_000.0,
                    total=_percentiles(0.0016 + size / 1_000, 0.0041 + size / 1_000),
                    filling=_percentiles((size - 1) / 2_000, (size - 1) / 1_000),
                    queueing=_percentiles(0.0002, 0.0009),
                    service=_percentiles(0.0013, 0.0032),
                ),
            ),
        )
        for size in (1, 10, 100, 1000)
    ]


def load() -> list[tuple[str, Measured]]:
    """Return latencies at three shares of the capacity."""
    return [
        (
            f"test_latency_at_load[{share}%]",
            Measured(
                group="load",
                variant="split",
                workload="events",
                latency=Latency(
                    rate_per_s=share * 9_000.0,
                    total=_percentiles(share / 2_000, share / 1_000),
                    filling=_percentiles(0.0, share / 4_000),
                    queueing=_percentiles(0.0002, 0.0009),
                    service=_percentiles(0.0013, 0.0032),
                ),
            ),
        )
        for share in (90, 10, 50)
    ]


def comparisons() -> list[tuple[str, Measured]]:
    """Return three questions, with three kinds of answers."""
    said = {
        "test_batching_wins": compared(77.1, by=10),
        "test_new_parser": compared(
            1.01, first="new parser", second="old parser", width=0.03
        ),
        "test_tls_costs_little": compared(0.87, first="TLS", second="unix sockets"),
    }
    return [
        (name, Measured(group="comparisons", comparisons=[one]))
        for name, one in said.items()
    ]


def session(*parts: list[tuple[str, Measured]]) -> Session:
    """Return a session of these parts, or of one of each."""
    made = parts or (
        batching(),
        crossover(),
        mixed(),
        replicas(),
        transports(),
        latency(),
        comparisons(),
    )
    return Session(
        machine=MACHINE,
        when="2026-03-01T12:00:00+00:00",
        benchmarks=[benchmark for part in made for benchmark in part],
    )


def saved(of: Session) -> dict[str, Any]:
    """Return a session as pytest-benchmark saves it, with a benchmark of others."""
    return {
        "machine_info": {"node": "here", "pipeline": msgspec.to_builtins(of.machine)},
        "datetime": of.when,
        "commit_info": {"id": of.commit or "unversioned", "dirty": False},
        "version": "5.3.1",
        "benchmarks": [
            {"name": "test_of_others", "fullname": "x.py::test_of_others", "stats": {}},
            *(
                {
                    "name": name,
                    "fullname": f"benchmarks.py::{name}",
                    "group": measured.group,
                    "extra_info": to_extra_info(measured),
                    "stats": {"ops": float("nan")},
                }
                for name, measured in of.benchmarks
            ),
        ],
    }


def save(of: Session, path: Path) -> Path:
    """Write a session as pytest-benchmark does."""
    path.write_text(json.dumps(saved(of)), encoding="utf-8")
    return path


def _percentiles(p50: float, p99: float) -> Percentiles:
    return Percentiles(p50=p50, p99=p99, p999=p99 * 1.8)
