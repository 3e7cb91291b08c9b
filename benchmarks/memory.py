"""Check that memory stays bounded with a long input and a slow stage.

Runs a large file through the split, once undisturbed and once with the rules stage
stopped (SIGSTOP) for a while during the run, and prints the peak memory of every
process. Exits with 1 if one exceeds the limit, or if a result differs from the
monolith's.

    python benchmarks/memory.py [--events 10000000] [--freeze-s 10] [--limit-mib 150]
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from pipeline.transport.environment import configure_process

_MIB = 1024 * 1024


def main() -> None:
    """Run and print; exit with 1 if memory or a result is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--freeze-s", type=float, default=10.0)
    parser.add_argument("--limit-mib", type=int, default=150)
    arguments = parser.parse_args()

    configure_process()  # before gRPC is imported
    from pipeline.engines.base import Engine, RunSettings
    from pipeline.engines.monolith import MonolithEngine
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
        print(f"{arguments.events:,} events, {path.stat().st_size / 1e9:.2f} GB")
        folders = {"ingest": [folder], "sink": [folder]}
        failed: list[str] = []
        results = set()

        def run(engine: Engine, label: str, on_progress: Callable[[int], None]) -> None:
            output = folder / "totals.ndjson"
            report = engine.run(
                RunSettings(
                    workload=EVENTS,
                    source=line_source(path),
                    input=str(path),
                    output=output,
                    on_progress=on_progress,
                )
            )
            results.add(output.read_bytes())
            peaks = {
                name: stage.peak_rss_bytes for name, stage in report.stages.items()
            }
            peaks["driver"] = report.peak_rss_bytes
            print(
                f"{label}: {report.elapsed_s:.1f} s; peak MiB "
                + ", ".join(f"{name} {peak // _MIB}" for name, peak in peaks.items())
            )
            failed.extend(
                f"{label}: {name} took more than {arguments.limit_mib} MiB"
                for name, peak in peaks.items()
                if peak > arguments.limit_mib * _MIB
            )

        for label, freeze_s in (("undisturbed", 0.0), ("frozen", arguments.freeze_s)):
            with StageServers(
                EVENTS.name, EVENTS.stage_names, folders=folders
            ) as servers:
                (rules,) = (
                    process for process in servers.processes if process.stage == "rules"
                )
                freezer = _Freezer(rules.pid, arguments.events // 10, freeze_s)
                run(SplitEngine(servers.addresses), label, freezer)
        run(MonolithEngine(), "monolith", lambda _: None)
        if len(results) != 1:
            failed.append("the results differ")
    for line in failed:
        print(f"FAILED: {line}")
    sys.exit(1 if failed else 0)


class _Freezer:
    """Stops a process for a while, once a run has settled a number of records."""

    def __init__(self, pid: int, records: int, freeze_s: float) -> None:
        self._pid, self._records, self._freeze_s = pid, records, freeze_s

    def __call__(self, settled: int) -> None:
        if settled < self._records or self._freeze_s == 0:
            return
        os.kill(self._pid, signal.SIGSTOP)
        threading.Timer(self._freeze_s, os.kill, (self._pid, signal.SIGCONT)).start()
        self._freeze_s = 0


if __name__ == "__main__":
    main()
