"""Measure the error rates of comparisons: false positives and false negatives.

Compares the parse stage's function with itself, and with itself doing 10 % more work,
as a test with the fixture `pipeline_compare` does. Exits with 1 if more than 2 of 200
comparisons with itself claim a difference, or fewer than 95 of 100 find the 10 %.

    python benchmarks/comparison.py [--same 200] [--slower 100] [--sample-s 0.02]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable

from pipeline.v1.lines_pb2 import Lines
from pipeline.workloads.events.generate import generate_events
from pipeline.workloads.events.parse import parse
from pytest_pipeline.measure.comparison import Answer, Comparer

# The highest share of false positives, and the lowest share of true positives.
_MOST_CLAIMS = 2 / 200
_FEWEST_FOUND = 95 / 100


def main() -> None:
    """Compare, and print how often a difference was claimed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--same", type=int, default=200)
    parser.add_argument("--slower", type=int, default=100)
    parser.add_argument("--sample-s", type=float, default=0.02)
    arguments = parser.parse_args()
    lines = Lines(text=b"".join(generate_events(100, seed=1, users=10)))

    def once() -> None:
        for _ in range(10):
            parse(lines)

    def again() -> None:
        for _ in range(10):
            parse(lines)

    def more() -> None:
        for _ in range(11):
            parse(lines)

    began = time.perf_counter()
    compare = Comparer()

    def ask(variant: Callable[[], None], number: int) -> Answer:
        answer = compare(once, variant, sample_s=arguments.sample_s).faster_than(
            variant
        )
        print(f"{number + 1:>4} {answer}", flush=True)
        return answer

    same = [ask(again, number) for number in range(arguments.same)]
    slower = [ask(more, number) for number in range(arguments.slower)]
    claims = sum(answer.outcome != "inconclusive" for answer in same)
    found = sum(map(bool, slower))
    print(f"{time.perf_counter() - began:.0f} s, samples of {arguments.sample_s} s")
    for what, answers in (("the same", same), ("10 % more", slower)):
        rounds = Counter(answer.compared.rounds for answer in answers)
        print(f"{what}: rounds " + ", ".join(f"{n} × {r}" for r, n in rounds.items()))
    print(f"the same: a difference is claimed in {claims} of {len(same)}")
    print(f"10 % more: found in {found} of {len(slower)}")
    if claims > _MOST_CLAIMS * len(same) or found < _FEWEST_FOUND * len(slower):
        sys.exit("the comparison is not as honest as it must be")


if __name__ == "__main__":
    main()
