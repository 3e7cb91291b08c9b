"""Search for the smallest stream and partition that break a property."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis.errors import FlakyFailure

from pipeline.errors import UsageError
from pipeline.workload import Workload
from pytest_pipeline.invariance.engines import SplitStages
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
from pytest_pipeline.records.streams import Partition, Stream
from pytest_pipeline.strategies import partitions, streams

#: Raises InvarianceError if a property does not hold for a partitioned stream.
PropertyCheck = Callable[[PartitionedStream], object]

_OF_STAGES: dict[str, Callable[[PartitionedStream, str], None]] = {
    "partition": check_partition,
    "purity": check_purity,
}
_OF_RESULTS: dict[str, PropertyCheck] = {
    "merge": check_merge,
    "snapshot": check_snapshot,
}
_SPLIT = "split"

#: The names of all properties. Those that explain failures of others come first.
PROPERTIES = (*_OF_STAGES, *_OF_RESULTS, _SPLIT)


@dataclass(frozen=True)
class Property:
    """A property that a workload must have for every stream and partition.

    Args:
        name: one of `PROPERTIES`.
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
            _check_one(check, PartitionedStream(workload, stream, partition), self)

    def search(
        self,
        workload: Workload,
        *,
        data: bytes | None = None,
        examples: int = 100,
        max_records: int = 12,
    ) -> None:
        """Search for a stream and a partition for which the property does not hold.

        Args:
            workload: the workload.
            data: the input to take records from, for a workload that reads one. The
                built-in workloads do not need it.
            examples: the number of streams to try.
            max_records: the maximum number of records in a stream.

        Raises:
            InvarianceError: the property does not hold. The message has the smallest
                stream that was found, and a command that repeats the failure.
            UsageError: there is no such property or stage, or there are no records.
        """
        with self._checking(workload) as check:

            @quiet_search(examples)
            @given(streams(workload, data, max_records), partitions(max_records))
            def holds(stream: Stream, partition: Partition) -> None:
                _check_one(check, PartitionedStream(workload, stream, partition), self)

            try:
                holds()
            except InvarianceError as error:
                # A new error, without the notes that hypothesis adds to this one.
                raise InvarianceError(str(error)) from error.__cause__
            except FlakyFailure as error:
                raise InvarianceError(
                    f"workload {workload.name}: {self} does not hold each time for the "
                    f"same stream: {error.exceptions[0]}"
                ) from None

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
                yield stages.check
        else:
            raise UsageError(
                f"property {self.name!r}: there is {', '.join(PROPERTIES)}"
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
    return of_stages + [Property(name) for name in (*_OF_RESULTS, _SPLIT)]


def check_workload(
    workload: Workload, *, data: bytes | None = None, examples: int = 100
) -> None:
    """Search for violations of every property of a workload.

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


def _check_one(
    check: PropertyCheck, partitioned: PartitionedStream, prop: Property
) -> None:
    try:
        check(partitioned)
    except InvarianceError as error:
        text = _report(partitioned, str(error), prop)
        raise InvarianceError(text) from error.__cause__


def _report(partitioned: PartitionedStream, finding: str, prop: Property) -> str:
    """Describe a failure: what differs, for which stream, and how to repeat it."""
    workload = partitioned.workload.name
    where = f"workload {workload}" + (f", stage {prop.stage}" if prop.stage else "")
    sizes = ",".join(map(str, partitioned.partition))
    command = ["python", "-m", "pytest_pipeline.invariance", workload]
    command += ["--property", prop.name]
    command += ["--stage", prop.stage] if prop.stage else []
    command += ["--partition", sizes] if sizes else []
    command += ["--stream", partitioned.stream.encode()]
    return "\n".join(
        [
            f"{where}: {finding}",
            f"the smallest stream, of {len(partitioned.stream)} records:",
            *(f"  {line}" for line in str(partitioned.stream).splitlines()),
            f"cut after: {sizes or 'nothing, it is one batch'}",
            "to see it again:",
            f"  {shlex.join(command)}",
        ]
    )
