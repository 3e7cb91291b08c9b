"""One ratio, measured in rounds in which both kinds of runs take turns."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import psutil

from pipeline.accounting import RunReport
from pipeline.engines.monolith import MonolithEngine
from pytest_pipeline.measure.bench import Bench
from pytest_pipeline.measure.comparison import (
    LOOKS,
    Rounds,
    Sampler,
    interval,
    log_ratios,
    noise_floor,
    trimmed_mean,
)
from pytest_pipeline.measure.ratios.baseline import Ratio
from pytest_pipeline.measure.ratios.judging import MeasuredRatio
from pytest_pipeline.measure.ratios.pairs import Pair

#: Seconds that a run of the split is to take where nothing else is said: there are
#: some hundred runs of each kind.
RUN_S = 0.1

# What disturbs a run makes it seem to need fewer records, and never more.
_SIZINGS = 3

# How long the machine is looked at for what others use of it.
_LOOK_S = 0.25

# Shorter samples have several runs.
_SAMPLE_S = 0.02


@dataclass(frozen=True)
class Runs:
    """Runs of one kind: an engine at a batch size, each time with as many records."""

    name: str
    records: int
    run: Callable[[], RunReport]


def records_for(bench: Bench, workload: str, batch_size: int) -> int:
    """Return with how many records a run of the split takes the time of the settings.

    Raises PipelineError as `measure`.
    """
    runs, engine = bench.runs(workload), bench.split(workload)
    seconds = bench.settings.run_seconds
    return max(runs.records_for(engine, batch_size, seconds) for _ in range(_SIZINGS))


def measure(
    bench: Bench,
    pair: Pair,
    records: Mapping[int, int],
    *,
    is_open: Callable[[MeasuredRatio], bool],
    budget_s: float,
) -> MeasuredRatio:
    """Measure a ratio until it is no longer open, or more rounds exceed the budget.

    ``records`` has those of a run at each batch size of the ratio. Each result is
    checked. Raises PipelineError where a run fails, or its result is not
    that of the monolith.
    """
    kinds = _kinds(bench, pair, records)
    used = used_by_others()
    found = measured(*kinds, is_open=is_open, budget_s=budget_s)
    return replace(found, used=max(used, used_by_others()))


def used_by_others() -> float:
    """Return the share of the machine's CPU in use, while nothing of ours runs."""
    return psutil.cpu_percent(interval=_LOOK_S) / 100


def measured(
    above: Runs,
    below: Runs,
    *,
    is_open: Callable[[MeasuredRatio], bool],
    budget_s: float,
    clock: Callable[[], float] = time.perf_counter,
) -> MeasuredRatio:
    """Return the time of a record in runs of ``above`` to that in runs of ``below``."""
    rounds = Rounds(
        (_sampler(below), _sampler(above)),
        work=(below.records, above.records),
        sample_s=_SAMPLE_S,
        clock=clock,
    )
    for look in LOOKS:
        rounds.run(look, budget_s if look > LOOKS[0] else None)
        found = _found(rounds, above, below)
        if not is_open(found) or found.rounds < look:
            break
    return found


def _found(rounds: Rounds, above: Runs, below: Runs) -> MeasuredRatio:
    logs = np.array(rounds.logs)
    ratio = interval(log_ratios(logs), looks=len(LOOKS))
    return MeasuredRatio(
        # Of rounds that are all alike, the three differ by how they were rounded.
        Ratio(min(ratio.low, ratio.value), ratio.value, max(ratio.value, ratio.high)),
        noise_floor(logs),
        len(logs),
        {
            below.name: math.exp(-trimmed_mean(logs[:, (0, 3)].ravel())),
            above.name: math.exp(-trimmed_mean(logs[:, (1, 2)].ravel())),
        },
    )


def _sampler(runs: Runs) -> Sampler:
    """Return what runs so often, and takes the time by the run reports."""

    def piece(calls: int) -> float:
        return sum(runs.run().elapsed_s for _ in range(calls))

    return lambda calls, pieces: min(piece(calls) for _ in range(pieces))


def _kinds(
    bench: Bench, pair: Pair, records_of: Mapping[int, int]
) -> tuple[Runs, Runs]:
    """Return the runs whose time is above the line of the ratio, and those below."""
    size, checked = pair.batch_size, bench.runs(pair.workload)
    records = records_of[size]
    split = _split(bench, pair.workload, size, records)
    if pair.is_speedup:
        smallest = pair.smallest
        return _split(bench, pair.workload, smallest, records_of[smallest]), split
    if pair.against == "monolith":
        monolith = MonolithEngine()
        return split, Runs(
            "monolith", records, lambda: checked.run(monolith, size, records)
        )
    floors, floor = bench.floor(split.run())
    return split, Runs("floor", records, lambda: floors.run(floor, size, records))


def _split(bench: Bench, workload: str, size: int, records: int) -> Runs:
    checked, engine = bench.runs(workload), bench.split(workload)
    return Runs(
        f"split at batch size {size}",
        records,
        lambda: checked.run(engine, size, records),
    )
