"""Run many seeds: ``python -m tests.faults --seeds 0:1000 --jobs 2``.

It prints each seed that fails, with what repeats it, and in the end a table of the
faults and what came of their runs. The exit code is 1 if a seed has failed or not run.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import get_args

from tests.faults.judging import Outcome, Verdict, judge
from tests.faults.plan import Plan, draw_plan
from tests.faults.running import Data, End, make_data, run

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

_PROGRESS = 50


@dataclass(frozen=True)
class Report:
    """What came of a seed."""

    plan: Plan
    end: End
    verdict: Verdict

    @property
    def complaints(self) -> list[str]:
        """What is wrong; nothing if the run has kept its promises."""
        return self.verdict.complaints

    def __str__(self) -> str:
        """Return what is wrong, and the command that repeats it."""
        happened = ", ".join(map(str, self.end.happened)) or "nothing"
        return (
            f"{self.plan}\n"
            f"  {'; '.join(self.complaints)}\n"
            f"  ended with {self.end.exit_code}; said {self.end.stderr!r}\n"
            f"  happened: {happened}\n"
            f"  repeat with: python -m tests.faults --seeds {self.plan.seed}"
        )


def run_seed(seed: int, data: Data) -> Report:
    """Run a seed, and judge how it has ended."""
    plan = draw_plan(seed)
    end = run(plan, data)
    return Report(plan, end, judge(end, data))


class Counts:
    """What came of many seeds."""

    def __init__(self) -> None:
        self.outcomes: Counter[Outcome] = Counter()
        self._of_fault: Counter[tuple[str, Outcome]] = Counter()

    def add(self, report: Report) -> None:
        """Count a run, and each of its faults."""
        outcome = report.verdict.outcome
        self.outcomes[outcome] += 1
        self._of_fault.update(
            (f"{fault.kind} {fault.target}", outcome) for fault in report.end.happened
        )

    def table(self) -> Iterator[str]:
        """Yield the lines of a table in Markdown."""
        yield f"| fault | {' | '.join(OUTCOMES)} |"
        yield f"| --- |{' ---: |' * len(OUTCOMES)}"
        for fault in sorted({fault for fault, _ in self._of_fault}):
            counts = [self._of_fault[fault, outcome] for outcome in OUTCOMES]
            yield f"| {fault} | {' | '.join(map(str, counts))} |"
        yield f"| runs | {' | '.join(str(self.outcomes[each]) for each in OUTCOMES)} |"


def main() -> int:
    """Run the seeds; return the exit code. Ctrl-C prints what there is so far."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=_seeds, default=range(1000), metavar="FROM:TO")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    # A shell makes its background jobs ignore it, and so would their runs.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    data, counts, began = make_data(), Counts(), time.monotonic()
    with ThreadPoolExecutor(arguments.jobs) as pool:
        futures = [pool.submit(run_seed, seed, data) for seed in arguments.seeds]
        try:
            for done in as_completed(futures):
                report = done.result()
                counts.add(report)
                if report.complaints:
                    _print(str(report))
                if counts.outcomes.total() % _PROGRESS == 0:
                    _print(f"{counts.outcomes.total()} of {len(futures)} runs")
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
    _print(*counts.table())
    _print(f"{counts.outcomes.total()} runs in {time.monotonic() - began:.0f} s")
    is_whole = counts.outcomes.total() == len(futures)
    return 0 if is_whole and not counts.outcomes["wrong"] else 1


def _seeds(text: str) -> range:
    first, _, end = text.partition(":")
    return range(int(first), int(end) if end else int(first) + 1)


def _print(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
