"""The split gives what the monolith gives, whatever the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.engines.window import WindowLimits
from pipeline.workloads import BUILT_IN, workload_named
from pytest_pipeline import strategies
from pytest_pipeline.invariance import PartitionedStream, SplitStages
from pytest_pipeline.records.streams import Partition, Stream

Transport = Literal["unix", "tcp"]
StagesOf = Callable[[str, Transport, int], SplitStages]

#: Larger than those that cut a stream often, so that whole files are one batch too.
MAX_RECORDS = 16


@pytest.fixture(scope="module")
def stages_of() -> Iterator[StagesOf]:
    """Servers of every workload, transport and number of replicas, once each."""
    with ExitStack() as stack:

        @cache
        def stages_of(
            workload: str, transport: Transport, replicas: int
        ) -> SplitStages:
            return stack.enter_context(
                SplitStages(
                    workload_named(workload), transport=transport, replicas=replicas
                )
            )

        yield stages_of


def streams(workload: str) -> st.SearchStrategy[tuple[str, Stream]]:
    """Any records of a workload, the bad ones too."""
    found = workload_named(workload)
    records = strategies.streams(found, max_records=MAX_RECORDS)
    return st.tuples(st.just(workload), records)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    strategies.evenly(*map(streams, sorted(BUILT_IN))),
    strategies.partitions(MAX_RECORDS),
    st.sampled_from(["unix", "tcp"]),
    st.integers(1, 3),
    st.builds(WindowLimits, st.integers(1, 8), st.integers(1, 4096)),
)
def test_the_split_equals_the_monolith(
    stages_of: StagesOf,
    workload_and_stream: tuple[str, Stream],
    partition: Partition,
    transport: Transport,
    replicas: int,
    window: WindowLimits,
) -> None:
    """Result, rejects and counts are the same, and records are conserved.

    Over strategies, partitions, transports, replicas, workloads and windows; a run that
    fails does so with the same words, and leaves nothing.
    """
    workload, stream = workload_and_stream
    stages = stages_of(workload, transport, replicas)

    outcome = stages.check(
        PartitionedStream(stages.workload, stream, partition), window
    )

    assert bool(outcome.failure) == (len(stream) == 0)
