"""What benchmarks have measured: in the saved JSON of pytest-benchmark, and in reports.

Each benchmark has one `Measured` as ``extra_info["pipeline"]``. ``machine_info`` has a
`Machine` as ``["pipeline"]``.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from pipeline.accounting import RunReport

#: Where in ``extra_info`` and ``machine_info`` ours is.
KEY = "pipeline"

Group = Literal[
    "batching", "crossover", "mixed", "replicas", "transports", "latency", "comparisons"
]
#: The engines; ``floor`` is the split with stages that do nothing, ``queues`` are
#: processes with multiprocessing queues instead of gRPC.
Variant = Literal["split", "monolith", "floor", "queues"]


class Interval(msgspec.Struct, frozen=True):
    """A value with the interval that holds it at ``confidence``."""

    low: float
    value: float
    high: float
    confidence: float


class Percentiles(msgspec.Struct, frozen=True):
    """Seconds that half, 99 % and 99.9 % of the records needed at most."""

    p50: float
    p99: float
    p999: float


class Latency(msgspec.Struct, frozen=True):
    """From when a record was due until its batch had passed the last transform stage.

    Records are due at a fixed rate, whether or not the stages keep up.
    """

    #: Records due per second.
    rate_per_s: float
    total: Percentiles
    #: Until the last record of its batch was due.
    filling: Percentiles
    #: From then until the batch was sent to the first transform stage.
    queueing: Percentiles
    #: From then until the last transform stage had answered.
    service: Percentiles


class Compared(msgspec.Struct, frozen=True):
    """The answer to one question of `pytest_pipeline.measure.comparison`."""

    #: What is said to be faster, and than what.
    first: str
    second: str
    #: What was claimed: ``faster`` or ``not faster``, by this factor.
    claim: Literal["faster", "not faster"]
    by: float
    outcome: Literal["faster", "not faster", "inconclusive"]
    #: How many times as fast the first is.
    ratio: Interval
    #: The ratio that two runs of one and the same seemed to have in these rounds.
    floor: float
    rounds: int


class Measured(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One benchmark: what ran, and what came of it."""

    group: Group
    #: None where something of a user's own was compared.
    variant: Variant | None = None
    workload: str = ""
    batch_size: int = 0
    #: Records of one run.
    records: int = 0
    transport: str = ""
    #: Servers of each transform stage that has more than one.
    replicas: dict[str, int] = {}
    #: Of work items; how much work a record is.
    iterations: int | None = None
    #: Records per second of each round.
    throughput_per_s: list[float] = []
    #: IPC share of each round of the split.
    ipc_share: list[float] = []
    #: The whole account of the round whose throughput is the median.
    run: RunReport | None = None
    latency: Latency | None = None
    comparisons: list[Compared] = []

    @property
    def throughput(self) -> Interval | None:
        """The median round, between the slowest and the fastest; None without rounds.

        The median of all rounds that there could be lies between those of n with
        probability 1 − 2^(1 − n).
        """
        rounds = sorted(self.throughput_per_s)
        if not rounds:
            return None
        return Interval(
            low=rounds[0],
            value=rounds[len(rounds) // 2],
            high=rounds[-1],
            confidence=1 - 2.0 ** (1 - len(rounds)),
        )


class Machine(msgspec.Struct, frozen=True):
    """Where the benchmarks ran."""

    system: str
    processor: str
    cores: int
    python: str
    #: Of each distribution that matters, by name.
    versions: dict[str, str]


class Session(msgspec.Struct, frozen=True):
    """All that a report is made of."""

    machine: Machine
    #: When, in ISO 8601.
    when: str
    #: Each benchmark with the name of its test.
    benchmarks: list[tuple[str, Measured]]
    #: Of the repository, shortened; empty where none is known.
    commit: str = ""


def to_extra_info(measured: Measured) -> dict[str, Any]:
    """Return what goes into ``extra_info``."""
    plain: dict[str, Any] = msgspec.to_builtins(measured)
    return {KEY: plain}
