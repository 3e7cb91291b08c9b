"""The aggregate stage and the result of `work-items`: final scores and their totals.

The totals are count, exact sum and extremes, a commutative monoid. The zero is
``ScoreTotals()``. ``aggregate`` is the update of zero by one message. ``ItemScores``
merges and finishes.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import isfinite

from pipeline.stages import Output, Refused
from pipeline.v1.pipeline_pb2 import Rejection
from pipeline.v1.work_items_pb2 import ScoredItems, Scores, ScoreTotals
from pipeline.workloads.events.aggregate import to_bytes
from pipeline.workloads.work_items.arithmetic import left_to_right, no_warnings, work
from pipeline.workloads.work_items.columns import FEATURES, check_columns

ITERATIONS = 50
#: The largest magnitude of a final score. The sum of 2^63 of them still is a double.
MAX_SCORE = 2.0**960


@no_warnings
def aggregate(items: ScoredItems) -> Output[Scores]:
    """Finish the scores and total them; reject those that are too large.

    Raises:
        ValueError: Columns contradict each other.
    """
    _check(items)
    scores = Scores()
    rejections: list[Rejection] = []
    for position, (record, id_, score) in enumerate(
        zip(items.record, items.id, items.score, strict=True)
    ):
        at = FEATURES * position
        final = final_score(score, items.features[at : at + FEATURES])
        if not abs(final) <= MAX_SCORE:  # NaN too
            refused = Refused("out_of_range", "final_score")
            rejections.append(refused.rejection(record))
            continue
        scores.record.append(record)
        scores.id.append(id_)
        scores.final_score.append(final)
    scores.totals.CopyFrom(totals_of(list(scores.final_score)))
    return Output(scores, records=len(scores.id), rejections=rejections)


def final_score(score: float, features: list[float]) -> float:
    """Return the final score of an item from its score and its five features."""
    neighbours = left_to_right(abs(one * next_) for one, next_ in pairwise(features))
    worked = work(score + left_to_right(features), ITERATIONS)
    return worked + 0.1 * neighbours


def _check(items: ScoredItems) -> None:
    count = len(items.id)
    check_columns(
        items,
        record=count,
        mean=count,
        deviation=count,
        features=FEATURES * count,
        matrix_total=count,
        score=count,
    )


def totals_of(final_scores: list[float]) -> ScoreTotals:
    """Return the totals of final scores, which must be finite."""
    if not final_scores:
        return ScoreTotals()
    ratios = [score.as_integer_ratio() for score in final_scores]
    # Denominators are powers of two, so the largest is a multiple of all.
    common = max(denominator for _, denominator in ratios)
    numerator = sum(part * (common // denominator) for part, denominator in ratios)
    return _state(
        len(final_scores),
        Fraction(numerator, common),
        min(final_scores),
        max(final_scores),
    )


def merge(one: ScoreTotals, other: ScoreTotals) -> ScoreTotals:
    """Return the totals of the final scores of both."""
    if not one.count:
        return other
    if not other.count:
        return one
    return _state(
        one.count + other.count,
        exact_total(one) + exact_total(other),
        min(one.minimum, other.minimum),
        max(one.maximum, other.maximum),
    )


def exact_total(totals: ScoreTotals) -> Fraction:
    """Return the exact sum in ``totals``."""
    numerator = int.from_bytes(totals.numerator, "big", signed=True)
    return Fraction(numerator, 1 << totals.scale)


def _state(count: int, total: Fraction, minimum: float, maximum: float) -> ScoreTotals:
    # A Fraction is in lowest terms, so equal sums are equal bytes.
    return ScoreTotals(
        count=count,
        numerator=to_bytes(total.numerator),
        scale=total.denominator.bit_length() - 1,
        minimum=minimum,
        maximum=maximum,
    )


class ItemScores:
    """The accumulator of `work-items`: one JSON line an item, then one of the totals.

    Without items there is no line of totals.
    """

    def __init__(self) -> None:
        self._totals = ScoreTotals()

    @property
    def records(self) -> int:
        """Items so far."""
        return self._totals.count

    def add(self, scores: Scores, /) -> bytes:
        """Merge the totals; return the lines of the items.

        Raises:
            ValueError: Columns contradict each other or the totals, or a value is not
                finite.
        """
        count = scores.totals.count
        check_columns(scores, record=count, id=count, final_score=count)
        extremes = (scores.totals.minimum, scores.totals.maximum)
        if not all(map(isfinite, (*scores.final_score, *extremes))):
            raise ValueError("Scores has a value that is not finite")
        self.merge(scores.totals)
        # The repr of a double is the shortest text that reads back as the same double.
        return b"".join(
            b'{"id":%d,"score":%a}\n' % row
            for row in zip(scores.id, scores.final_score, strict=True)
        )

    def state(self) -> ScoreTotals:
        """Return the totals so far; `add` has returned the lines of the items."""
        return self._totals

    def merge(self, totals: ScoreTotals, /) -> None:
        """Add ``totals`` to those so far."""
        self._totals = merge(self._totals, totals)

    def finish(self) -> bytes:
        """Return the line of totals, with the exact sum rounded once."""
        totals = self._totals
        if not totals.count:
            return b""
        total = exact_total(totals)
        return b'{"count":%d,"total":%a,"min":%a,"max":%a}\n' % (
            totals.count,
            total.numerator / total.denominator,
            totals.minimum,
            totals.maximum,
        )
