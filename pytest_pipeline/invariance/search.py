"""Looking for the smallest stream and cutting for which a property does not hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis.errors import FlakyFailure

from pipeline.errors import UsageError
from pipeline.workload import Workload
from pytest_pipeline.invariance.case import Case, InvarianceError, report
from pytest_pipeline.invariance.engines import SplitStages
from pytest_pipeline.invariance.functions import (
    check_cutting,
    check_merge,
    check_purity,
    check_snapshot,
)
from pytest_pipeline.records.streams import Cutting, Stream
from pytest_pipeline.strategies import cuttings, streams

#: Takes a case and raises InvarianceError where the property does not hold for it.
Check = Callable[[Case], object]

_OF_STAGES: dict[str, Callable[[Case, str], None]] = {
    "cutting": check_cutting,
    "purity": check_purity,
}
_OF_RESULTS: dict[str, Check] = {"merge": check_merge, "snapshot": check_snapshot}
_SPLIT = "split"

#: Every property, in the order in which they are best looked at.
PROPERTIES = (*_OF_STAGES, *_OF_RESULTS, _SPLIT)


@dataclass(frozen=True)
class Property:
    """Something that holds for a workload, whatever the stream and its cutting.

    ``name`` is one of `PROPERTIES`; "cutting" and "purity" are of the stage named.
    """

    name: str
    stage: str = ""

    def __str__(self) -> str:
        return f"{self.name}-{self.stage}" if self.stage else self.name

    def check(self, workload: Workload, stream: Stream, cutting: Cutting = ()) -> None:
        """Return if the property holds for one stream; else raise InvarianceError."""
        with self._checking(workload) as check:
            _check_one(check, Case(workload, stream, cutting), self)

    def search(
        self,
        workload: Workload,
        *,
        data: bytes | None = None,
        examples: int = 100,
        max_records: int = 12,
    ) -> None:
        """Return if the property holds for so many streams and cuttings.

        ``data`` is the input from which records are taken, for a workload that reads
        one and is not ours. Raises InvarianceError for the smallest stream for which it
        does not hold, with a line that repeats it; UsageError where there is no such
        stage, or there are no records.
        """
        with self._checking(workload) as check:

            @quiet_search(examples)
            @given(streams(workload, data, max_records), cuttings(max_records))
            def holds(stream: Stream, cutting: Cutting) -> None:
                _check_one(check, Case(workload, stream, cutting), self)

            try:
                holds()
            except InvarianceError as error:
                # Without the notes that hypothesis adds: the error says it all.
                raise InvarianceError(str(error)) from error.__cause__
            except FlakyFailure as error:
                raise InvarianceError(
                    f"workload {workload.name}: {self} does not hold each time for the "
                    f"same stream: {error.exceptions[0]}"
                ) from None

    @contextmanager
    def _checking(self, workload: Workload) -> Iterator[Check]:
        """Yield the check, with the servers that it needs."""
        if self.name in _OF_STAGES:
            names = [stage.name for stage in workload.transforms]
            if self.stage not in names:
                raise UsageError(
                    f"stage {self.stage!r}: workload {workload.name} has transform "
                    f"stages {', '.join(names) or 'none'}"
                )
            of_stage = _OF_STAGES[self.name]
            yield lambda case: of_stage(case, self.stage)
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
    """Return how to look for one failure, whose own text says all that there is to say.

    Without ``derandomize`` the profile of hypothesis decides.
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
    """Return every property that a workload must have."""
    of_stages = [
        Property(name, stage.name)
        for stage in workload.transforms
        for name in _OF_STAGES
    ]
    return of_stages + [Property(name) for name in (*_OF_RESULTS, _SPLIT)]


def check_workload(
    workload: Workload, *, data: bytes | None = None, examples: int = 100
) -> None:
    """Look for a stream for which a property of a workload does not hold.

    See `Property.search`, which this is for each of `properties_of`.
    """
    for prop in properties_of(workload):
        prop.search(workload, data=data, examples=examples)


def _check_one(check: Check, case: Case, prop: Property) -> None:
    try:
        check(case)
    except InvarianceError as error:
        text = report(case, str(error), prop.name, prop.stage)
        raise InvarianceError(text) from error.__cause__
