"""What `pipeline tune` prints, and its JSON file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from rich.bar import Bar
from rich.table import Table

from pipeline.cli.output import output_console
from pipeline.tuning.cost import SURE, TOLERANCE, BatchCost, Estimate, SizeCost
from pipeline.tuning.sweep import LEAST_BATCHES, MOST_TIMES, Plan

_KIB = 1024
_MIB = 1024 * _KIB
# gRPC is fastest with messages of 64 to 512 KiB.
_LARGE_MESSAGE_BYTES = _MIB

# A fit with a larger misfit at any size is called poor.
_POOR_MISFIT = 0.15

_BAR_WIDTH = 22
# On a narrower terminal lines wrap, so that no number is cut.
_LEAST_WIDTH = 72


@dataclass(frozen=True)
class Tuning:
    """A sweep and the fit to it."""

    workload: str
    transport: str
    #: The numbers of servers that were given, by stage.
    replicas: Mapping[str, int]
    seconds_per_run: float
    plan: Plan
    #: Each has the seconds per record by batch size.
    rounds: Sequence[Mapping[int, float]]
    #: Bytes of a message of the stage with the largest, by batch size.
    message_bytes: Mapping[int, float]
    cost: BatchCost

    @property
    def recommended_message_bytes(self) -> float:
        """The same at the recommended size, scaled from the next measured size."""
        size = self.cost.recommended
        measured = min(other for other in self.plan.records if other >= size)
        return self.message_bytes[measured] * size / measured

    def to_json(self) -> bytes:
        """Return all fields as indented JSON that ends with a line feed."""
        cost, planned = self.cost, self.plan
        told = {
            "workload": self.workload,
            "transport": self.transport,
            "replicas": self.replicas,
            "seconds_per_run": self.seconds_per_run,
            "left_out": {
                "too_few_records": planned.too_few,
                "too_slow": planned.too_slow,
            },
            "per_batch_s": cost.per_batch_s,
            "per_record_s": cost.per_record_s,
            "recommended": cost.recommended,
            "confidence": cost.confidence,
            "knee": cost.knee,
            "fitted_to": cost.fitted_to,
            "message_bytes": round(self.recommended_message_bytes),
            "curve": [
                {
                    "batch_size": point.size,
                    "records": planned.records[point.size],
                    "seconds_per_record": [taken[point.size] for taken in self.rounds],
                    "measured_s": point.measured_s,
                    "fitted_s": point.fitted_s,
                    "message_bytes": round(self.message_bytes[point.size]),
                }
                for point in cost.curve
            ],
        }
        return msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n"


def print_tuning(tuning: Tuning) -> None:
    """Print the curve and, in sentences, what it means."""
    console = output_console()
    console.width = max(console.width, _LEAST_WIDTH)
    console.print(
        f"{tuning.workload}: {len(tuning.cost.curve)} batch sizes, {len(tuning.rounds)}"
        f" rounds. All results are those of the monolith, byte for byte."
    )
    console.print()
    console.print(_table(tuning.cost))
    console.print()
    for sentence in (
        *left_out(tuning.plan, tuning.seconds_per_run),
        *findings(tuning.cost),
        *recommendation(tuning.cost, tuning.recommended_message_bytes),
    ):
        console.print(sentence)


def left_out(planned: Plan, seconds: float) -> Iterator[str]:
    """Yield sentences on the batch sizes that were not measured, and why."""
    if planned.too_few:
        yield (
            f"There are {planned.available:,} records, and a run needs {LEAST_BATCHES} "
            f"batches: left out {_sizes(planned.too_few)}."
        )
    if planned.too_slow:
        yield (
            f"A run of {LEAST_BATCHES} batches would take longer than "
            f"{MOST_TIMES * seconds:.1f} s: left out {_sizes(planned.too_slow)}. With "
            f"more --seconds-per-run they fit."
        )


def findings(cost: BatchCost) -> Iterator[str]:
    """Yield sentences on the costs of a batch and a record, and the fit's limits."""
    first, last = cost.curve[0], cost.curve[-1]
    yield (
        f"A batch costs {_duration(cost.per_batch_s)}, a record "
        f"{_duration(cost.per_record_s)}; at batch size {first.size:,} messages are "
        f"{cost.batch_share_at(first.size):.1%} of the time."
    )
    worst = cost.worst_fit
    if worst is not None and abs(worst.misfit) > _POOR_MISFIT:
        yield (
            f"The fit is poor: at batch size {worst.size:,} a record took "
            f"{abs(worst.misfit):.0%} {'more' if worst.misfit > 0 else 'less'} time "
            f"than it says. Trust what was measured."
        )
    if last.size > cost.fitted_to:
        yield (
            f"Past {cost.fitted_to:,} it is slower again, and not fitted: {last.size:,}"
            f" runs at {_of_best(cost, last):.0%} of the best."
        )


def recommendation(cost: BatchCost, message_bytes: float) -> Iterator[str]:
    """Yield sentences on the batch size to use, its confidence and its messages."""
    first, last = cost.curve[0], cost.curve[-1]
    size = cost.recommended
    if size == first.size:
        below = 1 - _of_best(cost, first)
        yield (
            f"Batching hardly matters here: size {size:,} is within "
            f"{max(math.ceil(below * 100), 1)}% of the best."
        )
    sure = "" if cost.confidence >= SURE else " More --rounds would make it surer."
    yield (
        f"Use --batch-size {size}: within {TOLERANCE:.0%} of the best in "
        f"{cost.confidence:.0%} of resamples.{sure}"
    )
    if size == last.size and cost.batch_share_at(size) > TOLERANCE:
        yield (
            f"That is the largest that was measured, and messages are still "
            f"{cost.batch_share_at(size):.0%} of the time: try larger --sizes."
        )
    else:
        yield "Larger batches only add latency."
    if message_bytes > _LARGE_MESSAGE_BYTES:
        yield (
            f"Beware: its largest messages have {message_bytes / _MIB:.1f} MiB. gRPC "
            f"copes best with 64 to 512 KiB; a smaller batch size may do as well."
        )
    else:
        yield f"Its largest messages have {message_bytes / _KIB:,.1f} KiB."


def _table(cost: BatchCost) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("batch size", "records/s", "95 % of resamples", "by the fit"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    # A narrow terminal shrinks the bars alone.
    table.add_column("log scale", max_width=_BAR_WIDTH)
    speeds = [1 / point.measured_s.value for point in cost.curve]
    # The scale spans at least a decade, so that equal speeds have equal bars.
    lowest = min(*speeds, max(speeds) / 10) / 2
    for point, speed in zip(cost.curve, speeds, strict=True):
        length = math.log(speed / lowest) / math.log(max(speeds) / lowest)
        table.add_row(
            f"{point.size:,}",
            _speed(speed),
            f"{_speed(1 / point.measured_s.high)}–{_speed(1 / point.measured_s.low)}",
            _speed(1 / point.fitted_s),
            "▶" if point.size == cost.recommended else "",
            Bar(1, 0, length),
        )
    return table


def _of_best(cost: BatchCost, point: SizeCost) -> float:
    return cost.best.measured_s.value / point.measured_s.value


def _sizes(sizes: Sequence[int]) -> str:
    return ", ".join(f"{size:,}" for size in sizes)


def _speed(per_s: float) -> str:
    return f"{per_s:,.0f}" if per_s >= 1000 else f"{per_s:.3g}"


def _duration(interval: Estimate) -> str:
    """Return seconds with their interval, in a fitting unit."""
    scale, unit = next(
        (scale, unit)
        for scale, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs"), (1e9, "ns"))
        if interval.high * scale >= 1 or unit == "ns"
    )
    value, low, high = (
        seconds * scale for seconds in (interval.value, interval.low, interval.high)
    )
    decimals = 0 if high >= 100 else 1 if high >= 10 else 2
    return f"{value:,.{decimals}f} {unit} ({low:,.{decimals}f}–{high:,.{decimals}f})"
