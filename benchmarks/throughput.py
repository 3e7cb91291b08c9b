"""Compare the throughput of the split with other ways to do the same work.

Interleaves on one file, and prints the medians of each with the ratios that are asked
for most, and their 95 % confidence intervals:

- a loop in one process, as a user would write first: for each line msgspec decodes a
  typed object, then the rules apply, and a dictionary has the totals;
- the split and the monolith at batch size auto and at explicit sizes;
- the queues of multiprocessing.

    python benchmarks/throughput.py [--events 1000000] [--rounds 12] [--only split]
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from scipy import stats

from pipeline.batching import AUTO, BatchSize, limits_of
from pipeline.transport.environment import configure_process
from pytest_pipeline.measure.rounds import in_turns

# The share of the events that runs at each batch size, so that none takes minutes.
_SHARES = {1: 0.005, 10: 0.05, 100: 0.2}
_SIZES: dict[str, tuple[BatchSize, ...]] = {
    "split": (AUTO, 1, 100, 1000, 2000, 3000, 5000, 10_000),
    "monolith": (AUTO, 1000, 2000, 5000),
    "queues": (100, 500, 1000, 2000, 5000),
}
_LOOP = "loop"


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
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--only", choices=_SIZES, help="leave the other engines out")
    arguments = parser.parse_args()

    configure_process()  # before gRPC is imported
    from pipeline.engines.base import Engine, RunSettings
    from pipeline.engines.monolith import MonolithEngine
    from pipeline.engines.split import SplitEngine
    from pipeline.transport.processes import StageServers
    from pipeline.workloads.events import EVENTS
    from pipeline.workloads.events.generate import generate_events
    from pipeline.workloads.lines import line_source
    from pytest_pipeline.measure.references.queues import QueuesEngine

    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name).resolve()
        path = folder / "events.ndjson"
        with path.open("wb") as file:
            file.writelines(generate_events(arguments.events, seed=1, users=1000))

        folders = {"ingest": [folder], "sink": [folder]}
        servers = stack.enter_context(
            StageServers(EVENTS.name, EVENTS.stage_names, folders=folders)
        )
        engines: dict[str, Engine] = {
            "split": SplitEngine(servers.addresses),
            "monolith": MonolithEngine(),
            "queues": stack.enter_context(QueuesEngine(EVENTS)),
        }

        def speed(engine: str, batch_size: BatchSize) -> float:
            share = 1.0 if batch_size == AUTO else _SHARES.get(batch_size, 1.0)
            settings = RunSettings(
                workload=EVENTS,
                source=line_source(path),
                input=str(path),
                output=folder / "totals.ndjson",
                limits=limits_of(batch_size),
                max_records=int(arguments.events * share),
            )
            return engines[engine].run(settings).throughput_per_s

        variants = {_LOOP: partial(one_process_loop, path)} | {
            f"{engine} {size}": partial(speed, engine, size)
            for engine, sizes in _SIZES.items()
            if arguments.only in (None, engine)
            for size in sizes
        }
        for warm_up in variants.values():
            warm_up()
        report(in_turns(variants, arguments.rounds))


def report(speeds: dict[str, list[float]]) -> None:
    """Print the speed of each variant and the ratios."""
    medians = {name: statistics.median(each) for name, each in speeds.items()}
    for name, each in speeds.items():
        print(f"{name:>14}: {medians[name]:>11,.0f}/s, {ratio(each, speeds[_LOOP])}")
    automatic = f"split {AUTO}"
    if automatic not in speeds:
        return
    for engine in _SIZES:
        best = max(
            (name for name in speeds if name.startswith(engine) and name != automatic),
            key=lambda name: medians[name],
            default="",
        )
        if best:
            against = ratio(speeds[automatic], speeds[best])
            print(f"{automatic} against {best}, its best: {against}")


def ratio(speeds: list[float], others: list[float]) -> str:
    """Return how many times as fast the first are, with the interval of the rounds."""
    logs = np.log(speeds) - np.log(others)
    half = stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / math.sqrt(len(logs))
    middle, low, high = np.exp([logs.mean(), logs.mean() - half, logs.mean() + half])
    return f"{middle:.3f} × ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main()
