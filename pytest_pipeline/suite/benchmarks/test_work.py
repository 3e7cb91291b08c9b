"""Check what batching and replicas gain when each record is CPU-bound work."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

import pytest

from pipeline.accounting import RunReport
from pipeline.tuning.calibration import CPU_BOUND_SHARE
from pytest_pipeline.measure.benchmark import measured_of
from pytest_pipeline.measure.comparison import Comparer
from pytest_pipeline.measure.harness import Harness
from pytest_pipeline.measure.machine import this_machine
from pytest_pipeline.measure.results import Group, Interval, Measured, Record

pytestmark = pytest.mark.benchmark(group="claims")

#: Iterations of work items, from less CPU time than a message takes to far more.
ITERATIONS = (100, 1000, 10_000, 50_000)
#: The most that batching may gain if processing has nearly all of the CPU.
MOST_GAIN = 1.25

# Seconds for a comparison. An answer that is still open then stays open.
_BUDGET_S = 25.0


@pytest.fixture(scope="module")
def gains() -> dict[int, Interval]:
    """The gain of batching at each number of iterations so far."""
    return {}


@pytest.mark.usefixtures("work_items")
@pytest.mark.parametrize("iterations", ITERATIONS)
def test_the_gain_from_batching_falls_with_the_work(
    pipeline_compare: Comparer,
    pipeline_record: Record,
    harness: Harness,
    gains: dict[int, Interval],
    iterations: int,
) -> None:
    """More work in a record leaves less gain from batching, within the intervals."""
    batched = _Variant(harness, iterations, batch_size=100)
    single = _Variant(harness, iterations)

    answer = pipeline_compare(
        batched,
        single,
        names=("batch size 100", "batch size 1"),
        work=(batched.records, single.records),
        budget_s=_BUDGET_S,
    ).faster_than(single)

    pipeline_record.note(single.measured("crossover"))
    gains[iterations] = answer.ratio
    for fewer, gain in gains.items():
        assert fewer >= iterations or answer.ratio.low <= gain.high, (
            f"{answer} at {iterations} iterations; at {fewer} it was {gain}"
        )


@pytest.mark.usefixtures("work_items")
def test_batching_gains_little_where_work_is_cpu_bound(
    pipeline_compare: Comparer,
    pipeline_record: Record,
    harness: Harness,
    cpu_bound_iterations: int,
) -> None:
    """Batching gains 1.25 times at most if processing has 87 % of the CPU or more."""
    batched = _Variant(harness, cpu_bound_iterations, batch_size=10)
    single = _Variant(harness, cpu_bound_iterations)

    answer = pipeline_compare(
        batched,
        single,
        names=("batch size 10", "batch size 1"),
        work=(batched.records, single.records),
        budget_s=_BUDGET_S,
    ).not_faster_than(single, by=MOST_GAIN)

    pipeline_record.note(single.measured("crossover"))
    assert answer
    assert 1 - median(report.ipc_share for report in single.reports) >= CPU_BOUND_SHARE


@pytest.mark.usefixtures("work_items")
def test_replicas_gain_where_work_is_cpu_bound(
    pipeline_compare: Comparer,
    pipeline_record: Record,
    harness: Harness,
    cpu_bound_iterations: int,
) -> None:
    """On two cores or more, a second parse server makes CPU-bound work faster."""
    if this_machine().cores < 2:
        pytest.skip("this machine has one core, and a second server nothing to run on")
    one = _Variant(harness, cpu_bound_iterations)
    two = _Variant(harness, cpu_bound_iterations, parse_servers=2)

    answer = pipeline_compare(
        two,
        one,
        names=("two parse servers", "one parse server"),
        work=(two.records, one.records),
        budget_s=_BUDGET_S,
    ).faster_than(one)

    pipeline_record.note(two.measured("replicas"))
    assert answer


class _Variant:
    """Runs of work items at one batch size; keeps the report of each."""

    def __init__(
        self,
        harness: Harness,
        iterations: int,
        batch_size: int = 1,
        parse_servers: int = 1,
    ) -> None:
        self.reports: list[RunReport] = []
        self._iterations = iterations
        self._transport = harness.settings.transport
        runs = harness.runs("work-items", iterations=iterations)
        engine = harness.split("work-items", replicas={"parse": parse_servers})
        self.records = runs.records_for(
            engine, batch_size, harness.settings.run_seconds
        )
        self._run: Callable[[], RunReport] = lambda: runs.run(
            engine, batch_size, self.records
        )

    def __call__(self) -> None:
        self.reports.append(self._run())

    def measured(self, group: Group) -> Measured:
        """Return the results of the runs."""
        return measured_of(
            [[report] for report in self.reports],
            group=group,
            variant="split",
            transport=self._transport,
            iterations=self._iterations,
        )
