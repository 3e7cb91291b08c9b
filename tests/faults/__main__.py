"""Run many seeds: ``python -m tests.faults --seeds 0:1000 --jobs 2``.

It prints each seed that fails, with what repeats it, and in the end a table of the
faults and what came of their runs. The exit code is 1 if a seed has failed.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import get_args

from tests.faults.judging import Outcome, Verdict, judge
from tests.faults.plan import Fault, Plan, draw_plan
from tests.faults.running import Data, End, make_data, run

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


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


def main() -> int:
    """Run the seeds; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=_seeds, default=range(1000), metavar="FROM:TO")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    # A shell makes its background jobs ignore it, and so would their runs.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    data, began = make_data(), time.monotonic()
    outcomes: Counter[Outcome] = Counter()
    table: Counter[tuple[str, Outcome]] = Counter()
    with ThreadPoolExecutor(arguments.jobs) as pool:
        futures = [pool.submit(run_seed, seed, data) for seed in arguments.seeds]
        for future in futures:
            report = future.result()
            outcome = report.verdict.outcome
            outcomes[outcome] += 1
            table.update((_row(fault), outcome) for fault in report.end.happened)
            if report.complaints:
                _print(str(report))
    _print(*_table(outcomes, table))
    _print(f"{outcomes.total()} runs in {time.monotonic() - began:.0f} s")
    return 1 if outcomes["wrong"] else 0


def _seeds(text: str) -> range:
    first, _, end = text.partition(":")
    return range(int(first), int(end) if end else int(first) + 1)


def _row(fault: Fault) -> str:
    return f"{fault.kind} {fault.target}"


def _table(
    outcomes: Counter[Outcome], table: Counter[tuple[str, Outcome]]
) -> Iterable[str]:
    yield f"| fault | {' | '.join(OUTCOMES)} |"
    yield f"| --- |{' ---: |' * len(OUTCOMES)}"
    for row in sorted({row for row, _ in table}):
        counts = [table[row, outcome] for outcome in OUTCOMES]
        yield f"| {row} | {' | '.join(map(str, counts))} |"
    yield f"| runs | {' | '.join(str(outcomes[each]) for each in OUTCOMES)} |"


def _print(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
