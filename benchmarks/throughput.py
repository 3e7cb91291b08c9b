"""Compare the throughput of the split with a loop in one process, without gRPC.

The loop is what a user would write first: for each line msgspec decodes a typed object,
then the rules apply, and a dictionary has the totals. The loop and the split are
interleaved on the same file. Prints the medians of the ratios of the rounds.

    python benchmarks/throughput.py [--events 1000000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Literal

import msgspec

from pipeline.transport.environment import configure_process

# The share of the events that runs at each batch size, so that none takes minutes.
_SIZES = {1: 0.005, 10: 0.05, 100: 0.2, 1000: 1.0}


class _Event(msgspec.Struct):
    ts: str
    type: Literal["click", "view", "purchase"]
    user: str
    value: int | float


def one_process_loop(path: Path) -> float:
    """Return events per second of the loop."""
    decode = msgspec.json.Decoder(_Event).decode
    totals: dict[str, list[int]] = {}
    events = 0
    start = time.perf_counter()
    with path.open("rb") as file:
        for line in file:
            event = decode(line)
            events += 1
            if event.value >= 10 and event.type != "view":
                total = totals.setdefault(event.type, [0, 0])
                total[0] += 1
                total[1] += int(event.value)
    return events / (time.perf_counter() - start)


def main() -> None:
    """Measure and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()

    configure_process()  # before gRPC is imported
    from pipeline.batching import BatchLimits
    from pipeline.engines.base import RunSettings
    from pipeline.engines.split import SplitEngine
    from pipeline.transport.processes import StageServers
    from pipeline.workloads.events import EVENTS
    from pipeline.workloads.events.generate import generate_events
    from pipeline.workloads.lines import line_source

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        path = folder / "events.ndjson"
        with path.open("wb") as file:
            file.writelines(generate_events(arguments.events, seed=1, users=1000))

        folders = {"ingest": [folder], "sink": [folder]}
        with StageServers(EVENTS.name, EVENTS.stage_names, folders=folders) as servers:
            engine = SplitEngine(servers.addresses)

            def split(batch_size: int, events: int) -> float:
                settings = RunSettings(
                    workload=EVENTS,
                    source=line_source(path),
                    input=str(path),
                    output=folder / "totals.ndjson",
                    limits=BatchLimits(records=batch_size),
                    max_records=events,
                )
                return engine.run(settings).throughput_per_s

            split(100, arguments.events // 10)  # warm up, not counted
            rounds = []
            for number in range(arguments.rounds):
                speeds = {0: one_process_loop(path)}
                for size, share in _SIZES.items():
                    speeds[size] = split(size, max(size, int(arguments.events * share)))
                rounds.append(speeds)
                print(
                    f"round {number + 1}: loop {speeds[0]:,.0f}/s, split "
                    + ", ".join(f"{speeds[size]:,.0f}/s at {size}" for size in _SIZES)
                )
    for size in _SIZES:
        loop = statistics.median(speeds[size] / speeds[0] for speeds in rounds)
        one = statistics.median(speeds[size] / speeds[1] for speeds in rounds)
        print(f"batch size {size:>4}: {loop:.4f} of the loop, {one:.1f} × batch size 1")


if __name__ == "__main__":
    main()
