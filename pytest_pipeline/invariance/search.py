"""Search for the smallest stream and partition that break a property."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial

from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis.errors import FlakyFailure

from pipeline.engines.base import Engine
from pipeline.engines.named import added_engines
from pipeline.errors import UsageError
from pipeline.workload import Workload
from pytest_pipeline.invariance.comparison import EngineComparison, Outcome
from pytest_pipeline.invariance.engines import (
    SplitStages,
    cluster_engine,
    serial_engine,
)
from pytest_pipeline.invariance.failure_report import stream_report, whole_report
from pytest_pipeline.invariance.failures import Failure, Failures
from pytest_pipeline.invariance.functions import (
    check_merge,
    check_partition,
    check_purity,
    check_snapshot,
)
from pytest_pipeline.invariance.partitioned_stream import (
    InvarianceError,
    PartitionedStream,
)
from pytest_pipeline.invariance.whole_data import (
    PropertyCheck,
    Source,
    WholeFailure,
    whole_failure,
)
from pytest_pipeline.records.cuts import Cut, cuts
from pytest_pipeline.records.streams import Partition, Stream
from pytest_pipeline.strategies import partitions, streams

_OF_STAGES: dict[str, Callable[[PartitionedStream, str], None]] = {
    "partition": check_partition,
    "purity": check_purity,
}
_OF_RESULTS: dict[str, PropertyCheck] = {
    "merge": check_merge,
    "snapshot": check_snapshot,
}
_SPLIT = "split"
_DISTRIBUTED = "distributed"

# How many small batches the whole data is cut into: stage functions take microseconds
# for each, and engines with several processes take a millisecond.
_MOST_APPLIED = 10_000
_MOST_RUN = 2_000

# A larger stream is not kept for the next run. The cut that failed is.
_MOST_KEPT = 64 * 1024

#: The names of all properties. Those that explain failures of others come first.
PROPERTIES = (*_OF_STAGES, *_OF_RESULTS, _SPLIT, _DISTRIBUTED)


@dataclass(frozen=True)
class Property:
    """A property that a workload must have for every stream and partition.

    Args:
        name: one of `PROPERTIES`, or an engine of the entry points, such as "dask".
        stage: the transform stage to check, for "partition" and "purity" only.

    Example::

        Property("partition", "parse").search(workload, examples=50)
    """

    name: str
    stage: str = ""

    def __str__(self) -> str:
        return f"{self.name}-{self.stage}" if self.stage else self.name

    def check(
        self, workload: Workload, stream: Stream, partition: Partition = ()
    ) -> None:
        """Raise InvarianceError if the property does not hold for one stream."""
        with self._checking(workload) as check:
            self._check_one(check, PartitionedStream(workload, stream, partition))

    def check_whole(
        self,
        workload: Workload,
        cuts: Sequence[Cut],
        *,
        data: bytes | None = None,
        data_name: str = "",
    ) -> str:
        """Check the property for the whole data, and for the data repeated.

        Args:
            workload: the workload.
            cuts: how the data is cut into batches.
            data: see `search`.
            data_name: see `search`.

        Returns:
            What was checked, in words.

        Raises:
            InvarianceError: see `search`.
            UsageError: see `search`.
        """
        with self._checking(workload) as check:
            source = Source(workload, data, data_name)
            failure = self._whole_failure(source, check, cuts)
            if failure is not None:
                raise self._whole_error(source, check, failure)
            return self._described(source, cuts)

    def search(
        self,
        workload: Workload,
        *,
        data: bytes | None = None,
        data_name: str = "",
        examples: int = 100,
        max_records: int = 12,
        seed: int | None = None,
        failures: Failures | None = None,
    ) -> str:
        """Search for a stream and a partition for which the property does not hold.

        First come the failures of earlier runs, then the whole data in every cut, and
        then short streams that hypothesis generates.

        Args:
            workload: the workload.
            data: the input to take records from, for a workload that reads one. The
                built-in workloads do not need it.
            data_name: the path of that input, for the command that repeats a failure.
            examples: the number of short streams to try.
            max_records: the maximum number of records in such a stream.
            seed: of the whole data's cut at random; by default another in each run,
                unless the active profile of hypothesis is derandomized.
            failures: where the failures of earlier runs are kept; None for nowhere.

        Returns:
            What the property holds for, in words.

        Raises:
            InvarianceError: the property does not hold. The message has the smallest
                stream that was found, and a command that repeats the failure.
            UsageError: there is no such property or stage, or there are no records.
        """
        source = Source(workload, data, data_name)
        tried = cuts(new_seed() if seed is None else seed)
        with self._checking(workload) as check:
            records = streams(workload, data, max_records)
            if failures is not None:
                self._try_earlier(source, check, failures)
            found = self._whole_failure(source, check, tried)
            if found is not None:
                error = self._whole_error(source, check, found)
                if failures is not None:
                    failures.add(workload, str(self), _kept(found))
                raise error

            failed: list[Failure] = []

            @quiet_search(examples)
            @given(records, partitions(max_records))
            def holds(stream: Stream, partition: Partition) -> None:
                try:
                    self._check_one(
                        check, PartitionedStream(workload, stream, partition)
                    )
                except InvarianceError:
                    failed[:] = [Failure(stream.encode(), partition)]
                    raise

            try:
                holds()
            except InvarianceError as error:
                # Hypothesis runs the smallest stream last.
                if failures is not None:
                    failures.add(workload, str(self), failed[0])
                # A new error, without the notes that hypothesis adds to this one.
                raise InvarianceError(str(error)) from error.__cause__
            except FlakyFailure as error:
                raise self._flaky(workload, error.exceptions[0]) from None
        return (
            f"{examples:,} streams of up to {max_records} records, and "
            f"{self._described(source, tried)}"
        )

    def _try_earlier(
        self, source: Source, check: PropertyCheck, failures: Failures
    ) -> None:
        """Raise InvarianceError if a failure of an earlier run still is one."""
        workload = source.workload
        for failure in failures.of(workload, str(self)):
            try:
                self._check_again(source, check, failure)
            except InvarianceError as error:
                raise InvarianceError(
                    f"{error}\nAn earlier run found this, so it was tried first."
                ) from error.__cause__
            failures.remove(workload, str(self), failure)

    def _check_again(
        self, source: Source, check: PropertyCheck, failure: Failure
    ) -> None:
        workload = source.workload
        if failure.stream:
            stream = Stream.decode(failure.stream, workload.source.returns)
            self._check_one(
                check, PartitionedStream(workload, stream, failure.partition)
            )
            return
        found = self._whole_failure(source, check, [Cut(failure.cut)])
        if found is not None:
            raise self._whole_error(source, check, found)

    def _whole_failure(
        self, source: Source, check: PropertyCheck, tried: Sequence[Cut]
    ) -> WholeFailure | None:
        return whole_failure(source, check, tried, self._most_batches)

    def _described(self, source: Source, tried: Sequence[Cut]) -> str:
        return ", and ".join(map(str, source.streams(tried, self._most_batches)))

    @property
    def _most_batches(self) -> int:
        """The most small batches of a long stream."""
        is_applied = self.name in _OF_STAGES or self.name in _OF_RESULTS
        return _MOST_APPLIED if is_applied else _MOST_RUN

    def _whole_error(
        self, source: Source, check: PropertyCheck, failure: WholeFailure
    ) -> InvarianceError:
        """Return the error on the smallest stream and on the whole data."""
        about = whole_report(failure, source, self.name, self.stage)
        try:
            self._check_one(check, failure.smallest)
        except InvarianceError as error:
            text = "\n".join([str(error), *about])
            cause = error.__cause__
        else:
            held = self._flaky(source.workload, failure.errors[failure.cut])
            text, cause = "\n".join([str(held), *about]), None
        made = InvarianceError(text)
        made.__cause__ = cause
        return made

    def _flaky(self, workload: Workload, error: BaseException) -> InvarianceError:
        return InvarianceError(
            f"workload {workload.name}: {self} does not hold each time for the same "
            f"stream: {error}"
        )

    def _check_one(self, check: PropertyCheck, partitioned: PartitionedStream) -> None:
        try:
            check(partitioned)
        except InvarianceError as error:
            text = stream_report(partitioned, str(error), self.name, self.stage)
            raise InvarianceError(text) from error.__cause__

    @contextmanager
    def _checking(self, workload: Workload) -> Iterator[PropertyCheck]:
        """Yield the check of this property, and run the servers that it needs."""
        if self.name in _OF_STAGES:
            names = [stage.name for stage in workload.transforms]
            if self.stage not in names:
                raise UsageError(
                    f"stage {self.stage!r}: workload {workload.name} has transform "
                    f"stages {', '.join(names) or 'none'}"
                )
            of_stage = _OF_STAGES[self.name]
            yield lambda partitioned: of_stage(partitioned, self.stage)
        elif self.stage:
            raise UsageError(f"property {self.name}: is not of one stage")
        elif self.name in _OF_RESULTS:
            yield _OF_RESULTS[self.name]
        elif self.name == _SPLIT:
            with SplitStages(workload) as stages:
                yield lambda partitioned: _check_run(partitioned, stages.check)
        else:
            comparison = EngineComparison(workload)
            with self._engine() as engine:
                check = partial(comparison.check, engine)
                yield lambda partitioned: _check_run(partitioned, check)

    def _engine(self) -> AbstractContextManager[Engine]:
        if self.name == _DISTRIBUTED:
            return nullcontext(serial_engine())
        known = added_engines()
        if self.name in known:
            return cluster_engine(self.name)
        raise UsageError(
            f"property {self.name!r}: there is {', '.join((*PROPERTIES, *known))}"
        )


def quiet_search(examples: int, *, derandomize: bool | None = None) -> settings:
    """Return settings to search for one failure, without output by hypothesis.

    Args:
        examples: the number of examples to try.
        derandomize: whether every run tries the same examples; by default the active
            profile of hypothesis decides.
    """
    return settings(
        max_examples=examples,
        derandomize=settings().derandomize if derandomize is None else derandomize,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
        report_multiple_bugs=False,
    )


def properties_of(workload: Workload) -> list[Property]:
    """Return all properties of a workload, those of stages once for each stage."""
    of_stages = [
        Property(name, stage.name)
        for stage in workload.transforms
        for name in _OF_STAGES
    ]
    return of_stages + [Property(name) for name in PROPERTIES if name not in _OF_STAGES]


def check_workload(
    workload: Workload, *, data: bytes | None = None, examples: int = 100
) -> None:
    """Search for violations of every property of a workload.

    It checks the whole data, cut into batches in several ways, and short streams that
    hypothesis generates.

    Args:
        workload: the workload.
        data: see `Property.search`.
        examples: the number of streams to try for each property.

    Raises:
        InvarianceError: see `Property.search`.
        UsageError: see `Property.search`.
    """
    for prop in properties_of(workload):
        prop.search(workload, data=data, examples=examples)


def _check_run(
    partitioned: PartitionedStream, check: Callable[[PartitionedStream], Outcome]
) -> None:
    outcome = check(partitioned)
    # A run without records has to fail. Any other has compared no result.
    if outcome.failure and partitioned.stream.payloads:
        raise InvarianceError(f"both engines fail: {outcome.failure}")


def _kept(found: WholeFailure) -> Failure:
    """Return what the next run tries: the smallest stream, or the cut."""
    word = found.smallest.stream.encode()
    if len(word) > _MOST_KEPT:
        return Failure(cut=found.cut.name)
    return Failure(word, found.smallest.partition)


def new_seed() -> int:
    """Return a seed for one run; the same each time if hypothesis is derandomized."""
    if settings().derandomize:
        return 0
    return random.SystemRandom().randrange(1_000_000)
