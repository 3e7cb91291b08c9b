"""Compare the throughput of the split with its peers, in interleaved rounds.

Each round runs every engine once at each batch size, on the same events, in turning
order. Each result must be the monolith's. Arrow Flight and Bytewax take part where they
are installed. Prints the median events per second, and the
median of the ratios to the split of the same round.

    python benchmarks/peers.py [--rounds 9]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

from pipeline.transport.environment import configure_process

# The events of a run at each batch size; a run of the split takes 0.3 s to 1.2 s.
_EVENTS = {1: 2_000, 10: 20_000, 100: 100_000, 1000: 200_000}


def main() -> None:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()

    configure_process()  # before gRPC is imported
    from pipeline.engines.base import Engine
    from pipeline.engines.monolith import MonolithEngine
    from pipeline.engines.split import SplitEngine
    from pipeline.transport.processes import StageServers
    from pipeline.workloads.events import EVENTS
    from pytest_pipeline.measure.checked_runs import CheckedRuns
    from pytest_pipeline.measure.dataset import dataset_of
    from pytest_pipeline.measure.references.queues import QueuesEngine

    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name).resolve()
        runs = CheckedRuns(dataset_of(EVENTS, folder), folder)
        folders = {"ingest": [folder], "sink": [folder]}
        servers = stack.enter_context(
            StageServers(EVENTS.name, EVENTS.stage_names, folders=folders)
        )
        engines: list[Engine] = [
            SplitEngine(servers.addresses),
            stack.enter_context(QueuesEngine(EVENTS)),
            MonolithEngine(),
        ]
        if find_spec("pyarrow"):
            from pytest_pipeline.measure.references.flight import FlightEngine

            engines.append(stack.enter_context(FlightEngine(EVENTS)))
        if find_spec("bytewax"):
            from pytest_pipeline.measure.references.dataflow import BytewaxEngine

            engines.append(BytewaxEngine())

        def speed(engine: Engine, size: int) -> float:
            return runs.run(engine, size, _EVENTS[size]).throughput_per_s

        for size in _EVENTS:
            for engine in engines:
                speed(engine, size)  # warms up, not counted
            found = [
                {engine.name: speed(engine, size) for engine in order}
                for number in range(arguments.rounds)
                for order in (engines[:: -1 if number % 2 else 1],)
            ]
            for engine in engines:
                speeds = [each[engine.name] for each in found]
                ratio = statistics.median(
                    each[engine.name] / each["split"] for each in found
                )
                print(
                    f"batch size {size:>4}: {engine.name:<8} "
                    f"{statistics.median(speeds):>9,.0f}/s ({min(speeds):,.0f} to "
                    f"{max(speeds):,.0f}), {ratio:.2f} × the split",
                    flush=True,
                )


if __name__ == "__main__":
    main()
