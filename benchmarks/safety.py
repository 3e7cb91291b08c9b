"""Measure what safety costs a run in which nothing fails.

Runs whole commands in turns: as they are, with a checkpoint every 64 batches, and with
legs that replace no server and that nobody watches. Prints for each batch size the
ratios of throughput with their 99 % confidence intervals, and whether recovery costs
2 % at most and a checkpoint 5 %. Beside them are the ratios of the CPU time of all
processes, which other work on the machine disturbs less.

    python benchmarks/safety.py [--rounds 12] [--batch-sizes 100,1000,auto]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from pipeline.accounting import RunReport
from pytest_pipeline.measure.results import Interval

_MOST_COST = {"recovery": 0.02, "a checkpoint": 0.05}
# Events at each batch size, for runs of a second or two.
_EVENTS = {"1": 2_000, "10": 20_000, "100": 200_000}
_MOST_EVENTS = 2_000_000
# All runs import what this script does.
_COMMAND = (sys.executable, __file__, "--safe")
_UNSAFE_COMMAND = (sys.executable, __file__, "--unsafe")


def run(
    folder: Path, batch_size: str, command: Sequence[str], *options: str
) -> RunReport:
    """Run the split in processes of its own."""
    report = folder / "report.json"
    subprocess.run(  # noqa: S603 - our own command
        [
            *(*command, "run", str(folder / "events.ndjson")),
            *("--output", str(folder / "totals.ndjson"), "--report", str(report)),
            *("--rejects", str(folder / "rejects.ndjson")),
            *("--batch-size", batch_size),
            *("--max-events", str(_EVENTS.get(batch_size, _MOST_EVENTS))),
            *options,
        ],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return msgspec.json.decode(report.read_bytes(), type=RunReport)


def cpu_s(report: RunReport) -> float:
    """Return the CPU seconds of all processes."""
    return report.cpu_s + sum(stage.cpu_s for stage in report.stages.values())


def make_unsafe() -> None:
    """Let legs know only the server that they were opened to, from now on."""
    from pipeline.transport.environment import configure_process

    # Before gRPC is imported, as in other runs.
    configure_process()
    from pipeline.engines import orchestrator

    def bare(leg: Any, *_: object, **__: object) -> Any:
        leg.start, leg.is_down = (lambda _: None), False
        return leg

    names: Any = orchestrator
    names.RecoveringIngest = names.RecoveringLeg = bare
    names.Watchdog.watching = lambda _: nullcontext()


def verdict(ratio: Interval, most_cost: float) -> str:
    """Return whether a ratio of throughput shows that the cost is small enough."""
    least = 1 - most_cost
    if ratio.low >= least:
        return f"costs {most_cost:.0%} at most"
    return "inconclusive" if ratio.high >= least else f"costs more than {most_cost:.0%}"


def main() -> None:
    """Measure and print the ratios."""
    if sys.argv[1:2] in (["--safe"], ["--unsafe"]):
        from pipeline.__main__ import main as run_pipeline

        if sys.argv.pop(1) == "--unsafe":
            make_unsafe()
        run_pipeline()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--batch-sizes", default="100,1000,auto")
    arguments = parser.parse_args()

    from pipeline.workloads.events.generate import generate_events
    from pytest_pipeline.measure.estimation import paired_ratio
    from pytest_pipeline.measure.rounds import in_turns

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "events.ndjson").open("wb") as file:
            file.writelines(generate_events(_MOST_EVENTS, seed=1, users=1000))
        progress = ("--checkpoint", str(folder / "progress"))
        for batch_size in arguments.batch_sizes.split(","):
            sized = partial(run, folder, batch_size)
            found = in_turns(
                {
                    "unsafe": partial(sized, _UNSAFE_COMMAND),
                    "recovery": partial(sized, _COMMAND),
                    "a checkpoint": partial(sized, _COMMAND, *progress),
                },
                arguments.rounds,
            )
            for what, without in (
                ("recovery", "unsafe"),
                ("a checkpoint", "recovery"),
            ):
                ratio = paired_ratio(
                    [each.throughput_per_s for each in found[what]],
                    [each.throughput_per_s for each in found[without]],
                )
                cpu = paired_ratio(
                    [cpu_s(each) for each in found[what]],
                    [cpu_s(each) for each in found[without]],
                )
                print(
                    f"batch size {batch_size:>5}, {what:>12}: {ratio.value:.3f} × the "
                    f"throughput ({ratio.low:.3f} to {ratio.high:.3f}): "
                    f"{verdict(ratio, _MOST_COST[what])}; {cpu.value:.3f} × the CPU "
                    f"({cpu.low:.3f} to {cpu.high:.3f})",
                    flush=True,
                )


if __name__ == "__main__":
    main()
