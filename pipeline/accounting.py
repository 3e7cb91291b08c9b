"""The account of a run: kept while it goes, and reported at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec

from pipeline.batching import AUTO, BatchSize
from pipeline.clock import peak_rss_bytes
from pipeline.errors import ConservationError
from pipeline.stages import INGEST, SINK
from pipeline.v1.pipeline_pb2 import Rejection, Timing

#: The reason of the rejection of a record that ends each server of a stage.
CRASHED_THE_STAGE = "crashed_the_stage"


class Seconds(msgspec.Struct):
    """Seconds in each phase of a stage's work, summed over its batches."""

    #: Idle, waiting for input.
    wait: float
    decode: float
    process: float
    encode: float
    send: float


class StageReport(msgspec.Struct):
    """The part of one stage in a run, all its replicas together.

    A message is a batch. Bytes are of whole messages.
    """

    replicas: int
    messages_in: int
    messages_out: int
    bytes_in: int
    bytes_out: int
    #: Wall-clock time of the thread that serves the stream.
    seconds: Seconds
    #: CPU time of the same thread in the same phases.
    cpu_seconds: Seconds
    #: CPU time of the stage's whole processes while their streams were open.
    cpu_s: float
    #: The most memory that a process of the stage ever had resident.
    peak_rss_bytes: int
    #: How often a server was started or connected to again after it was lost, and
    #: whether the sink was lost once it had published. If it was lost before, the run
    #: has begun again, and all other times, bytes and messages are of the last time.
    recoveries: int = 0
    #: At which batch the last of them was lost, and why; empty if none was.
    last_loss: str = ""
    #: The numbers of the records that were rejected because they ended its servers.
    crashed_at: list[int] = msgspec.field(default_factory=list)


class Records(msgspec.Struct):
    """The counts of records: ingested = rejected + filtered + passed."""

    ingested: int
    rejected: int
    filtered: int
    passed: int


class BatchSizes(msgspec.Struct):
    """The sizes of the batches of a run, in records as they were ingested."""

    smallest: int
    mean: float
    largest: int


class RunReport(msgspec.Struct):
    """The account of a whole run."""

    workload: str
    engine: str
    #: Most records in a batch, or ``auto``.
    batch_size: BatchSize
    batches: int
    records: Records
    #: Rejections by reason.
    rejections: dict[str, int]
    #: From the first request to the published result, without starting servers.
    elapsed_s: float
    #: Ingested records per second of ``elapsed_s``.
    throughput_per_s: float
    #: Until every stage server was healthy; 0 without servers.
    startup_s: float
    #: Batches that the orchestrator wrote to transform stages; 0 without gRPC.
    stream_writes: int
    #: 1 − CPU of stage functions / CPU of all processes; 0 for a single process.
    ipc_share: float
    #: CPU of the process that drove the run, and its peak of resident memory.
    cpu_s: float
    peak_rss_bytes: int
    stages: dict[str, StageReport]
    #: None in a report of an earlier version.
    batch_sizes: BatchSizes | None = None
    #: Records that were in the result already when the run resumed from a checkpoint.
    #: Counts and ``rejections`` include them; times, bytes, messages and sizes don't.
    resumed_records: int = 0

    @property
    def typical_batch_size(self) -> int:
        """The batch size; at ``auto``, the mean of the sizes, rounded."""
        if self.batch_size != AUTO:
            return self.batch_size
        return round(self.batch_sizes.mean) if self.batch_sizes else 0

    def to_json(self) -> bytes:
        """Return the report as indented JSON, ended by LF."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


_PHASES = ("wait", "decode", "process", "encode", "send")


class StageAccount:
    """What one stage has done so far in a run, all its replicas together."""

    def __init__(self) -> None:
        self.replicas = 1
        self.recoveries = 0
        self.last_loss = ""
        self.crashed_at: list[int] = []
        self.messages_in = 0
        self.messages_out = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self._wall_ns = dict.fromkeys(_PHASES, 0)
        self._cpu_ns = dict.fromkeys(_PHASES, 0)
        self._process_total_cpu_ns = 0
        self._peak_rss_bytes = 0

    def lose(self, batch: int | None, reason: str) -> None:
        """Count a server that was lost at this batch, or while it had none."""
        self.recoveries += 1
        at = "while idle" if batch is None else f"at batch {batch}"
        self.last_loss = f"{at}: {reason}"

    def message_in(self, size: int) -> None:
        """Count a batch of ``size`` bytes that went to the stage."""
        self.messages_in += 1
        self.bytes_in += size

    def message_out(self, size: int) -> None:
        """Count a batch of ``size`` bytes that came from the stage."""
        self.messages_out += 1
        self.bytes_out += size

    def spend(self, timing: Timing) -> None:
        """Add a timing that the stage has sent."""
        wall, cpu = self._wall_ns, self._cpu_ns
        wall["wait"] += timing.wait_ns
        wall["decode"] += timing.decode_ns
        wall["process"] += timing.process_ns
        wall["encode"] += timing.encode_ns
        wall["send"] += timing.send_ns
        cpu["wait"] += timing.wait_cpu_ns
        cpu["decode"] += timing.decode_cpu_ns
        cpu["process"] += timing.process_cpu_ns
        cpu["encode"] += timing.encode_cpu_ns
        cpu["send"] += timing.send_cpu_ns
        self._process_total_cpu_ns += timing.process_total_cpu_ns
        self._peak_rss_bytes = max(self._peak_rss_bytes, timing.peak_rss_bytes)

    @property
    def process_cpu_s(self) -> float:
        """CPU seconds inside the stage function."""
        return self._cpu_ns["process"] / 1e9

    @property
    def process_total_cpu_s(self) -> float:
        """CPU seconds of the stage's whole process."""
        return self._process_total_cpu_ns / 1e9

    def report(self) -> StageReport:
        """Return the account as it stands."""
        return StageReport(
            replicas=self.replicas,
            messages_in=self.messages_in,
            messages_out=self.messages_out,
            bytes_in=self.bytes_in,
            bytes_out=self.bytes_out,
            seconds=_seconds(self._wall_ns),
            cpu_seconds=_seconds(self._cpu_ns),
            cpu_s=self.process_total_cpu_s,
            peak_rss_bytes=self._peak_rss_bytes,
            recoveries=self.recoveries,
            last_loss=self.last_loss,
            crashed_at=sorted(self.crashed_at),
        )


class Progress(msgspec.Struct, frozen=True):
    """The counts of the batches that have reached the result."""

    batches: int
    filtered: int
    passed: int
    #: Rejections by reason.
    rejections: dict[str, int]

    @property
    def records(self) -> int:
        """Records that have passed, or were filtered or rejected."""
        return self.passed + self.filtered + sum(self.rejections.values())


class RejectionLog(Protocol):
    """Takes the rejections of a run, by ascending record number."""

    def add(self, stage: str, rejection: Rejection) -> None:
        """Take one rejection and the name of the stage that made it."""


class RunAccount:
    """What has happened to the records of a run so far, under any engine."""

    def __init__(
        self, stage_names: Iterable[str], rejection_log: RejectionLog | None = None
    ) -> None:
        self.stages = {name: StageAccount() for name in stage_names}
        self.batches = 0
        self.ingested = 0
        self._smallest = self._largest = 0
        self._settled_batches = 0
        self.filtered = 0
        self.passed = 0
        self.rejections: Counter[str] = Counter()
        self._rejection_log = rejection_log
        self._resumed = Progress(0, 0, 0, {})

    def restore(self, progress: Progress) -> None:
        """Go on from what `progress` returned in an earlier attempt at the run."""
        self._resumed = progress
        self.batches = self._settled_batches = progress.batches
        self.ingested = progress.records
        self.filtered, self.passed = progress.filtered, progress.passed
        self.rejections = Counter(progress.rejections)

    def anew(self) -> RunAccount:
        """Return an account of the same run that begins again, with its recoveries."""
        account = RunAccount(self.stages, self._rejection_log)
        for name, stage in self.stages.items():
            account.stages[name].replicas = stage.replicas
            account.stages[name].recoveries = stage.recoveries
            account.stages[name].last_loss = stage.last_loss
        return account

    @property
    def progress(self) -> Progress:
        """The counts of the batches that are settled."""
        return Progress(
            self._settled_batches,
            # A stage may have counted in NumPy's integers.
            int(self.filtered),
            int(self.passed),
            dict(self.rejections),
        )

    @property
    def crashed(self) -> int:
        """Records rejected as `CRASHED_THE_STAGE`, in earlier attempts too."""
        earlier = self._resumed.rejections.get(CRASHED_THE_STAGE, 0)
        return earlier + sum(len(stage.crashed_at) for stage in self.stages.values())

    def ingest(self, records: int) -> None:
        """Count a batch that came from the source."""
        is_first = self.batches == self._resumed.batches
        if is_first or records < self._smallest:
            self._smallest = records
        self._largest = max(self._largest, records)
        self.batches += 1
        self.ingested += records

    def settle(
        self,
        passed: int,
        filtered: int,
        rejections: Iterable[tuple[str, Rejection]],
    ) -> None:
        """Count a batch that has reached the sink, and log its rejections.

        Call this in the order of the batches.

        Args:
            passed: Records that reached the sink.
            filtered: Records that stages left out on purpose.
            rejections: Pairs of stage name and rejection, in any order.
        """
        self._settled_batches += 1
        self.passed += passed
        self.filtered += filtered
        for stage, rejection in sorted(rejections, key=lambda pair: pair[1].record):
            self.rejections[rejection.reason] += 1
            if self._rejection_log is not None:
                self._rejection_log.add(stage, rejection)

    @property
    def rejected(self) -> int:
        """Records that were rejected."""
        return self.rejections.total()

    @property
    def settled(self) -> int:
        """Records that have passed, or were filtered or rejected."""
        return self.passed + self.filtered + self.rejected

    def check_conservation(self) -> None:
        """Raise ConservationError unless ingested = rejected + filtered + passed."""
        if self.ingested != self.settled:
            raise ConservationError(
                f"{self.ingested} records were ingested, but "
                f"{self.rejected} rejected + {self.filtered} filtered + "
                f"{self.passed} passed are {self.settled}; nothing was published"
            )

    def report(
        self,
        *,
        workload: str,
        engine: str,
        batch_size: BatchSize,
        elapsed_s: float,
        startup_s: float,
        cpu_s: float,
        one_process: bool,
    ) -> RunReport:
        """Return the run report.

        Args:
            workload: Name of the workload.
            engine: Name of the engine.
            batch_size: Most records in a batch, or ``auto``.
            elapsed_s: Seconds from the first request to the published result.
            startup_s: Seconds until every stage server was healthy.
            cpu_s: CPU seconds of the process that drove the run.
            one_process: Whether the stages ran in that process, too.
        """
        # Those of this attempt at the run.
        records = self.ingested - self._resumed.records
        batches = self.batches - self._resumed.batches
        transforms = [
            stage for name, stage in self.stages.items() if name not in (INGEST, SINK)
        ]
        return RunReport(
            workload=workload,
            engine=engine,
            batch_size=batch_size,
            batches=self.batches,
            records=Records(
                # A stage may have counted in NumPy's integers.
                ingested=int(self.ingested),
                rejected=self.rejected,
                filtered=int(self.filtered),
                passed=int(self.passed),
            ),
            rejections=dict(sorted(self.rejections.items())),
            elapsed_s=elapsed_s,
            throughput_per_s=records / elapsed_s if elapsed_s > 0 else 0.0,
            startup_s=startup_s,
            stream_writes=sum(stage.messages_in for stage in transforms),
            ipc_share=0.0 if one_process else self._ipc_share(cpu_s),
            cpu_s=cpu_s,
            peak_rss_bytes=peak_rss_bytes(),
            stages={name: stage.report() for name, stage in self.stages.items()},
            batch_sizes=BatchSizes(
                smallest=int(self._smallest),
                mean=float(records / max(1, batches)),
                largest=int(self._largest),
            ),
            resumed_records=self._resumed.records,
        )

    def _ipc_share(self, driver_cpu_s: float) -> float:
        stages = self.stages.values()
        total = driver_cpu_s + sum(stage.process_total_cpu_s for stage in stages)
        processing = sum(stage.process_cpu_s for stage in stages)
        return max(0.0, 1 - processing / total) if total > 0 else 0.0


def _seconds(nanoseconds: Mapping[str, int]) -> Seconds:
    return Seconds(**{phase: ns / 1e9 for phase, ns in nanoseconds.items()})
