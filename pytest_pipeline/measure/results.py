"""The results of benchmarks, as pytest-benchmark's JSON and reports have them.

Each benchmark has a `Measured` as ``extra_info["pipeline"]``, and ``machine_info`` has
a `Machine` as ``["pipeline"]``. Names of fields are the keys of that JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from pipeline.accounting import RunReport
from pipeline.errors import UsageError

#: The key in ``extra_info`` and in ``machine_info``.
KEY = "pipeline"

Group = Literal[
    "batching",
    "crossover",
    "mixed",
    "replicas",
    "transports",
    "latency",
    "load",
    "languages",
    "comparisons",
]
#: The engines. ``floor`` is the split with stages that do nothing, and ``queues`` has
#: pipes between processes, instead of gRPC. ``flight`` and ``bytewax`` are peers: other
#: libraries, with the same stage functions. ``dask`` runs on a cluster of this machine.
Variant = Literal["split", "monolith", "floor", "queues", "flight", "bytewax", "dask"]


class Interval(msgspec.Struct, frozen=True):
    """A value with its confidence interval."""

    low: float
    value: float
    high: float
    confidence: float


class Percentiles(msgspec.Struct, frozen=True):
    """The median, 99th and 99.9th percentile of the records' times, in seconds."""

    p50: float
    p99: float
    p999: float


class Latency(msgspec.Struct, frozen=True):
    """The time from when a record is due until all transform stages have processed it.

    Records are due at a fixed rate, whether or not the stages keep up.
    """

    #: Records due per second.
    rate_per_s: float
    total: Percentiles
    #: From when the record is due until the last one of its batch is.
    filling: Percentiles
    #: From then until the batch is sent to the first transform stage.
    queueing: Percentiles
    #: From then until the last transform stage has answered.
    service: Percentiles


class Compared(msgspec.Struct, frozen=True):
    """The answer to one question of `pytest_pipeline.measure.comparison`."""

    #: The name of the callable that the question is about, and of the other one.
    first: str
    second: str
    #: The claim of the question, and its factor.
    claim: Literal["faster", "not faster"]
    by: float
    outcome: Literal["faster", "not faster", "inconclusive"]
    #: How many times as fast the first is.
    ratio: Interval
    #: The noise floor: the ratio of two samples of the same in these rounds, 1 or more.
    floor: float
    rounds: int


class LanguageRuns(msgspec.Struct, frozen=True):
    """Runs with the stages of one language, in rounds that all languages share."""

    #: Its name, or ``mix``.
    language: str
    batch_size: int
    #: Records of one run.
    records: int
    #: Records per second of each round.
    throughput_per_s: list[float]
    #: CPU seconds of each stage's process for each record; the median round's.
    cpu_s: dict[str, float]
    #: CPU seconds for each record of what drives the stages: the orchestrator, or the
    #: load on one stage.
    driver_cpu_s: float
    #: The most memory that the process of each stage ever had resident.
    peak_rss_bytes: dict[str, int]

    @property
    def throughput(self) -> Interval | None:
        """The median round, between the slowest and the fastest, if there is any."""
        return _median(self.throughput_per_s)


class Measured(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The results of one benchmark: what ran, and what was measured."""

    group: Group
    #: Which engine ran; None if a user's own callables were compared.
    variant: Variant | None = None
    workload: str = ""
    #: Records of a batch: `RunReport.typical_batch_size`. 0 where that says nothing.
    batch_size: int = 0
    #: Records of one run.
    records: int = 0
    transport: str = ""
    #: Servers of each transform stage that has more than one.
    replicas: dict[str, int] = {}
    #: Of work items: how much work a record is.
    iterations: int | None = None
    #: Records per second of each round.
    throughput_per_s: list[float] = []
    #: IPC share of each round of the split or the floor.
    ipc_share: list[float] = []
    #: The run report of the round with the median throughput.
    run: RunReport | None = None
    latency: Latency | None = None
    comparisons: list[Compared] = []
    #: The stage that was alone under load; empty for the whole pipeline.
    stage: str = ""
    #: The languages that were compared, Python first.
    languages: list[LanguageRuns] = []

    def __post_init__(self) -> None:
        """Raise UsageError for batch size ``auto``, which has no place on an axis."""
        if isinstance(self.batch_size, str):
            raise UsageError(
                f"batch_size={self.batch_size!r}: must be a number; give the run "
                f"report's typical_batch_size"
            )

    @property
    def throughput(self) -> Interval | None:
        """The median round, between the slowest and the fastest, if there is any."""
        return _median(self.throughput_per_s)


class Machine(msgspec.Struct, frozen=True):
    """The machine that benchmarks ran on."""

    system: str
    processor: str
    #: Cores that the process may use.
    cores: int
    python: str
    #: The version of each distribution that affects results, by name.
    versions: dict[str, str]


class Session(msgspec.Struct, frozen=True):
    """The results of a session, which a report is made from."""

    machine: Machine
    #: When it ran, in ISO 8601.
    when: str
    #: The name of each test with its results.
    benchmarks: list[tuple[str, Measured]]
    #: Short hash of the commit; empty if unknown.
    commit: str = ""
    #: The name of each test that failed, with the first line of why.
    failures: list[tuple[str, str]] = []


class Record:
    """Collects what one test measures; the fixture ``pipeline_record`` returns one.

    At the end of the test it goes into the JSON of pytest-benchmark and into the
    report.
    """

    def __init__(self) -> None:
        self._measured: Measured | None = None
        self._comparisons: list[Compared] = []

    def note(self, measured: Measured) -> None:
        """Set the results of the test; a second call replaces them.

        Args:
            measured: What ran and what was measured. Its comparisons are ignored; the
                fixture ``pipeline_compare`` adds them.
        """
        self._measured = measured

    def answered(self, compared: Compared) -> None:
        """Add the answer of a comparison."""
        self._comparisons.append(compared)

    @property
    def measured(self) -> Measured | None:
        """The results with all comparisons; None if nothing was measured."""
        measured = self._measured
        if measured is None and self._comparisons:
            measured = Measured(group="comparisons")
        if measured is None:
            return None
        return msgspec.structs.replace(measured, comparisons=[*self._comparisons])


def to_extra_info(measured: Measured) -> dict[str, Any]:
    """Return the entry for ``extra_info`` of pytest-benchmark."""
    plain: dict[str, Any] = msgspec.to_builtins(measured)
    return {KEY: plain}


def _median(values: Sequence[float]) -> Interval | None:
    """Return the median of rounds, between the lowest and the highest.

    The median of the distribution lies between the extremes of n rounds with
    probability 1 − 2^(1 − n).
    """
    rounds = sorted(values)
    if not rounds:
        return None
    return Interval(
        low=rounds[0],
        value=rounds[len(rounds) // 2],
        high=rounds[-1],
        confidence=1 - 2.0 ** (1 - len(rounds)),
    )
