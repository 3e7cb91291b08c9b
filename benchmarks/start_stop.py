"""Measure how quickly stage servers start, and what 200 starts and stops leak.

Starts and stops all five stages with the `ServerPool` of the plugin's fixtures, in this
process and in processes of their own. Prints the median time until one stage and until
all five are ready, and by how much the numbers of processes, threads and file
descriptors have grown since the first round.

    python benchmarks/start_stop.py [--rounds 200] [--transport unix]

Run it twice at once over TCP to check that no port is used by two servers.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil

from pipeline.transport.environment import configure_process
from pytest_pipeline.options import Hosting, PipelineSettings


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--transport", choices=["unix", "tcp", "tls"], default="unix")
    arguments = parser.parse_args()

    configure_process()  # before gRPC is imported
    from pipeline.workloads import workload_named
    from pytest_pipeline.servers.pool import ServerPool
    from pytest_pipeline.servers.specification import stage_specs

    events = workload_named("events")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()

        def seconds(servers: Hosting) -> tuple[float, float]:
            """Start and stop all stages; return seconds for one, and for all."""
            settings = replace(
                PipelineSettings(), servers=servers, transport=arguments.transport
            )
            pool = ServerPool(folder)
            began = time.perf_counter()
            pool.shared(stage_specs(settings, events, ["ingest"]))
            one = time.perf_counter() - began
            pool.shared(stage_specs(settings, events))
            pool.close()
            pool = ServerPool(folder)
            began = time.perf_counter()
            pool.shared(stage_specs(settings, events))
            five = time.perf_counter() - began
            pool.close()
            return one, five

        hostings: tuple[Hosting, ...] = ("inprocess", "subprocess")
        for servers in hostings:
            seconds(servers)
            before = _counts()
            taken = [seconds(servers) for _ in range(arguments.rounds // 2)]
            _settle(before)
            after = _counts()
            one, five = (
                statistics.median(column) for column in zip(*taken, strict=True)
            )
            more = {name: after[name] - count for name, count in before.items()}
            print(
                f"{servers}: one stage ready in {1000 * one:.1f} ms, five in "
                f"{1000 * five:.0f} ms; more than before: {more}"
            )


def _counts() -> dict[str, int]:
    process = psutil.Process()
    return {
        "processes": len(process.children(recursive=True)),
        "threads": threading.active_count(),
        "descriptors": process.num_fds(),
    }


def _settle(before: dict[str, int]) -> None:
    """Wait up to two seconds for what gRPC closes asynchronously."""
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline and _counts() != before:
        time.sleep(0.01)


if __name__ == "__main__":
    main()
