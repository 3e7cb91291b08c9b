"""What batching and replicas do where each record is real work."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

import pytest

from pipeline.accounting import RunReport
from pipeline.tuning.calibration import CPU_BOUND_SHARE
from pytest_pipeline.measure.bench import Bench
from pytest_pipeline.measure.comparison import Comparer
from pytest_pipeline.measure.machine import this_machine
from pytest_pipeline.measure.recording import Record
from pytest_pipeline.measure.results import Group, Interval, Measured
from pytest_pipeline.measure.rounds import measured_of

pytestmark = pytest.mark.benchmark(group="claims")

#: From work that messages outweigh to work that outweighs them.
ITERATIONS = (100, 1000, 10_000, 50_000)
#: The most that batching may gain where processing has nearly all of the CPU.
MOST_GAIN = 1.25

# More rounds than fit in here are no use: what is open then will stay so.
_BUDGET_S = 25.0


@pytest.fixture(scope="module")
def gains() -> dict[int, Interval]:
    """What batching has gained at each number of iterations."""
    return {}


@pytest.mark.usefixtures("work_items")
@pytest.mark.parametrize("iterations", ITERATIONS)
def test_the_gain_from_batching_falls_with_the_work(
    pipeline_compare: Comparer,
    pipeline_record: Record,
    bench: Bench,
    gains: dict[int, Interval],
    iterations: int,
) -> None:
    """Within its intervals: more work in a record leaves less to gain."""
    batched = _Variant(bench, iterations, batch_size=100)
    single = _Variant(bench, iterations)

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
    bench: Bench,
    bound_iterations: int,
) -> None:
    """1.25 times at most, with 87 % of the CPU or more in processing."""
    batched = _Variant(bench, bound_iterations, batch_size=10)
    single = _Variant(bench, bound_iterations)

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
    bench: Bench,
    bound_iterations: int,
) -> None:
    """A second server of parse has a core to itself, where there are two."""
    if this_machine().cores < 2:
        pytest.skip("this machine has one core, and a second server nothing to run on")
    one = _Variant(bench, bound_iterations)
    two = _Variant(bench, bound_iterations, parse_servers=2)

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
    """Runs of work items at one batch size, as long as they should be; all are kept."""

    def __init__(
        self,
        bench: Bench,
        iterations: int,
        batch_size: int = 1,
        parse_servers: int = 1,
    ) -> None:
        self.reports: list[RunReport] = []
        self._iterations = iterations
        self._transport = bench.settings.transport
        runs = bench.runs("work-items", iterations=iterations)
        engine = bench.split("work-items", replicas={"parse": parse_servers})
        self.records = runs.records_for(engine, batch_size, bench.settings.run_seconds)
        self._run: Callable[[], RunReport] = lambda: runs.run(
            engine, batch_size, self.records
        )

    def __call__(self) -> None:
        self.reports.append(self._run())

    def measured(self, group: Group) -> Measured:
        """Return what the runs have measured."""
        return measured_of(
            [[report] for report in self.reports],
            group=group,
            variant="split",
            transport=self._transport,
            iterations=self._iterations,
        )
