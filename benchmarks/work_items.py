"""Measure what CPU-bound work gains from batching and from a second parse server.

First prints the throughput of items of 500 iterations, at batch size 100, and at batch
size auto with two parse servers. Then
calibrates the iterations so that processing has 87 % of the CPU or more at batch size
1, and prints the gain of batch size 100 over 1, and of two parse servers over one, as
medians of the ratios of interleaved rounds. The servers keep running.

    python benchmarks/work_items.py [--items 10000] [--bound-items 1000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from functools import partial
from pathlib import Path

from pipeline.transport.environment import configure_process
from pytest_pipeline.measure.rounds import in_turns


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--bound-items", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()

    configure_process()  # before gRPC and numpy are imported
    from pipeline.accounting import RunReport
    from pipeline.batching import AUTO, BatchSize, limits_of
    from pipeline.engines.base import RunSettings
    from pipeline.engines.split import SplitEngine
    from pipeline.transport.processes import StageServers
    from pipeline.tuning.calibration import calibrated_iterations
    from pipeline.workloads.work_items import WORK_ITEMS, work_item_source

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        output = folder / "items.ndjson"
        stages = [*WORK_ITEMS.stage_names, "parse"]
        with StageServers(
            WORK_ITEMS.name, stages, folders={"sink": [folder]}
        ) as servers:
            two = SplitEngine(servers.addresses)
            one = SplitEngine(
                {**servers.addresses, "parse": servers.addresses["parse"][:1]}
            )

            def run(
                engine: SplitEngine,
                batch_size: BatchSize,
                records: int,
                iterations: int,
            ) -> RunReport:
                report = engine.run(
                    RunSettings(
                        workload=WORK_ITEMS,
                        source=work_item_source(records, iterations=iterations),
                        input="",
                        output=output,
                        limits=limits_of(batch_size),
                    )
                )
                lines = output.read_bytes().count(b"\n")
                if lines != records + 1:
                    raise SystemExit(f"{records} items gave {lines} lines")
                return report

            run(one, 100, arguments.items // 10, 500)  # warm up, not counted
            by_size = in_turns(
                {
                    "batch size 100": partial(run, one, 100, arguments.items, 500),
                    "batch size auto, two parse servers": partial(
                        run, two, AUTO, 10 * arguments.items, 500
                    ),
                },
                arguments.rounds,
            )
            for what, reports in by_size.items():
                speeds = [report.throughput_per_s for report in reports]
                print(
                    f"items of 500 iterations at {what}: "
                    f"{statistics.median(speeds):,.0f}/s, of "
                    + ", ".join(f"{speed:,.0f}" for speed in speeds)
                )

            iterations = calibrated_iterations(
                lambda iterations: run(one, 1, 100, iterations).ipc_share
            )
            print(f"calibrated: {iterations:,} iterations")
            rounds = []
            for number in range(arguments.rounds):
                by_name = {
                    "batch size 1": run(one, 1, arguments.bound_items, iterations),
                    "batch size 100": run(one, 100, arguments.bound_items, iterations),
                    "2 parse servers": run(two, 1, arguments.bound_items, iterations),
                }
                rounds.append(by_name)
                print(
                    f"round {number + 1}: "
                    + ", ".join(
                        f"{name} {report.throughput_per_s:,.1f}/s "
                        f"(processing {1 - report.ipc_share:.0%})"
                        for name, report in by_name.items()
                    )
                )
    for name in ("batch size 100", "2 parse servers"):
        ratio = statistics.median(
            by_name[name].throughput_per_s / by_name["batch size 1"].throughput_per_s
            for by_name in rounds
        )
        print(f"{name}: {ratio:.2f} × batch size 1 with one")


if __name__ == "__main__":
    main()
