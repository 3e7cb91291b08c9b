"""Measure a ratio in rounds that interleave both kinds of runs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import psutil

from pipeline.accounting import RunReport
from pipeline.engines.monolith import MonolithEngine
from pytest_pipeline.measure.estimation import (
    LOOKS,
    interval,
    log_ratios,
    noise_floor,
    trimmed_mean,
)
from pytest_pipeline.measure.harness import Harness
from pytest_pipeline.measure.ratios.baseline import Ratio
from pytest_pipeline.measure.ratios.judging import MeasuredRatio
from pytest_pipeline.measure.ratios.pairs import Pair
from pytest_pipeline.measure.rounds import Rounds, Sampler

#: Length of a run of the split where no option sets it, in seconds. It is short since
#: there are about a hundred runs of each kind.
RUN_S = 0.1

# A disturbance makes a run longer and so its number of records too small, never too
# large. So the largest of several is taken.
_SIZINGS = 3

# How long the CPU use of other processes is observed.
_OBSERVATION_S = 0.25

# A sample has several runs if one is shorter than this.
_SAMPLE_S = 0.02


@dataclass(frozen=True)
class Runs:
    """Runs of one kind: an engine at a batch size, each with as many records."""

    name: str
    records: int
    run: Callable[[], RunReport]


def records_for(harness: Harness, workload: str, batch_size: int) -> int:
    """Return how many records make a run of the split as long as the settings say.

    Raises:
        PipelineError: A run fails, or its result is not that of the monolith.
    """
    runs, engine = harness.runs(workload), harness.split(workload)
    seconds = harness.settings.run_seconds
    return max(runs.records_for(engine, batch_size, seconds) for _ in range(_SIZINGS))


def measure_ratio(
    harness: Harness,
    pair: Pair,
    records: Mapping[int, int],
    *,
    is_open: Callable[[MeasuredRatio], bool],
    budget_s: float,
) -> MeasuredRatio:
    """Measure the ratio of a pair. Each result is checked.

    Args:
        harness: Runs both.
        pair: Whose ratio it is.
        records: Of a run, at each batch size of the pair.
        is_open: Whether more rounds are wanted, given what was found so far.
        budget_s: Seconds after which no more rounds are added to the first 12.

    Raises:
        PipelineError: A run fails, or its result is not that of the monolith.
    """
    kinds = _kinds(harness, pair, records)
    used = used_by_others()
    found = measure_rounds(*kinds, is_open=is_open, budget_s=budget_s)
    return replace(found, used=max(used, used_by_others()))


def used_by_others() -> float:
    """Return the share of the machine's CPU that is in use, while no run is."""
    return psutil.cpu_percent(interval=_OBSERVATION_S) / 100


def measure_rounds(
    above: Runs,
    below: Runs,
    *,
    is_open: Callable[[MeasuredRatio], bool],
    budget_s: float,
    clock: Callable[[], float] = time.perf_counter,
) -> MeasuredRatio:
    """Return the time of a record in runs of ``above``, divided by that of ``below``.

    Takes ``is_open`` and ``budget_s`` as `measure_ratio`.
    """
    rounds = Rounds(
        (_sampler(below), _sampler(above)),
        work=(below.records, above.records),
        sample_s=_SAMPLE_S,
        clock=clock,
    )
    for look in LOOKS:
        rounds.run(look, budget_s if look > LOOKS[0] else None)
        found = _measured(rounds, above, below)
        if not is_open(found) or found.rounds < look:
            break
    return found


def _measured(rounds: Rounds, above: Runs, below: Runs) -> MeasuredRatio:
    logs = np.array(rounds.logs)
    ratio = interval(log_ratios(logs), looks=len(LOOKS))
    return MeasuredRatio(
        # If all rounds are equal, rounding errors may put the value outside.
        Ratio(min(ratio.low, ratio.value), ratio.value, max(ratio.value, ratio.high)),
        noise_floor(logs),
        len(logs),
        {
            below.name: math.exp(-trimmed_mean(logs[:, (0, 3)].ravel())),
            above.name: math.exp(-trimmed_mean(logs[:, (1, 2)].ravel())),
        },
    )


def _sampler(runs: Runs) -> Sampler:
    """Return a sampler that takes the elapsed time from the run reports."""

    def piece(calls: int) -> float:
        return sum(runs.run().elapsed_s for _ in range(calls))

    return lambda calls, pieces: min(piece(calls) for _ in range(pieces))


def _kinds(
    harness: Harness, pair: Pair, records_of: Mapping[int, int]
) -> tuple[Runs, Runs]:
    """Return the runs in the numerator of the ratio, and those in the denominator."""
    size, checked = pair.batch_size, harness.runs(pair.workload)
    records = records_of[size]
    split = _split(harness, pair.workload, size, records)
    if pair.is_speedup:
        smallest = pair.smallest
        return _split(harness, pair.workload, smallest, records_of[smallest]), split
    if pair.against == "monolith":
        monolith = MonolithEngine()
        return split, Runs(
            "monolith", records, lambda: checked.run(monolith, size, records)
        )
    floors, floor = harness.floor(split.run())
    return split, Runs("floor", records, lambda: floors.run(floor, size, records))


def _split(harness: Harness, workload: str, size: int, records: int) -> Runs:
    checked, engine = harness.runs(workload), harness.split(workload)
    return Runs(
        f"split at batch size {size}",
        records,
        lambda: checked.run(engine, size, records),
    )
