"""Measure how long records take from their arrival until they are acknowledged.

Events arrive evenly through a pipe, whether or not the stages keep up. First at 1,000 a
second, at batch size auto and 1 in turns; then at shares of the measured capacity, at
batch size auto. Prints percentiles in milliseconds: the medians of the rounds.

    python benchmarks/latency.py [--rounds 5] [--seconds 5]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from functools import partial
from pathlib import Path

from pipeline.batching import AUTO, BatchSize
from pipeline.transport.environment import configure_process
from pytest_pipeline.measure.results import Percentiles
from pytest_pipeline.measure.rounds import in_turns

_RATE_PER_S = 1000.0
_SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)
_CAPACITY_EVENTS = 1_000_000


def main() -> None:
    """Measure and print the percentiles."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0)
    arguments = parser.parse_args()

    configure_process()  # before gRPC is imported
    from pipeline.workloads.events import EVENTS
    from pipeline.workloads.events.generate import generate_events
    from pytest_pipeline.measure.dataset import dataset_of
    from pytest_pipeline.measure.references.piped_arrivals import arrivals_by_pipe
    from pytest_pipeline.options import PipelineSettings
    from pytest_pipeline.servers.pool import ServerPool
    from pytest_pipeline.servers.runs import split_engine
    from pytest_pipeline.servers.specification import stage_specs

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        most = int(max(_CAPACITY_EVENTS * arguments.seconds, _CAPACITY_EVENTS))
        dataset = dataset_of(
            EVENTS, folder, b"".join(generate_events(most, seed=1, users=1000))
        )
        pool = ServerPool(folder)
        servers = pool.shared(
            stage_specs(PipelineSettings(servers="subprocess"), EVENTS)
        )

        def percentiles(rate_per_s: float, batch_size: BatchSize) -> Percentiles:
            return arrivals_by_pipe(
                dataset,
                servers,
                folder,
                rate_per_s=rate_per_s,
                batch_size=batch_size,
                records=int(rate_per_s * arguments.seconds),
            ).latency.total

        def capacity_per_s() -> float:
            settings = dataset.settings(_CAPACITY_EVENTS, AUTO, folder / "result")
            return split_engine(servers).run(settings).throughput_per_s

        try:
            found = in_turns(
                {
                    f"batch size {size}": partial(percentiles, _RATE_PER_S, size)
                    for size in (AUTO, 1)
                },
                arguments.rounds,
            )
            print(f"{_RATE_PER_S:,.0f} events a second")
            report(found)
            capacity = statistics.median(capacity_per_s() for _ in range(5))
            print(f"shares of a capacity of {capacity:,.0f} a second, batch size auto")
            shares = {
                f"{share:.0%}": partial(percentiles, share * capacity, AUTO)
                for share in _SHARES
            }
            report(in_turns(shares, arguments.rounds))
        finally:
            pool.close()


def report(found: dict[str, list[Percentiles]]) -> None:
    """Print the median of each percentile over the rounds."""
    for name, rounds in found.items():
        medians = (
            1000 * statistics.median(getattr(each, percentile) for each in rounds)
            for percentile in ("p50", "p99", "p999")
        )
        p50, p99, p999 = medians
        worst = 1000 * max(each.p99 for each in rounds)
        print(
            f"{name:>15}: p50 {p50:.2f}, p99 {p99:.2f} (at most {worst:.2f}), "
            f"p99.9 {p999:.2f} ms",
            flush=True,
        )


if __name__ == "__main__":
    main()
