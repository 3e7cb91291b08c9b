"""Compare the stages in each language, in rounds in which all of them take turns."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from pipeline.languages import LANGUAGES, MIX, PYTHON
from pytest_pipeline.measure.estimation import LOOKS
from pytest_pipeline.measure.harness import Harness
from pytest_pipeline.measure.references.load import Load, loads_of, run_load
from pytest_pipeline.measure.results import LanguageRuns
from pytest_pipeline.measure.rounds import in_turns
from pytest_pipeline.servers.handle import Server
from pytest_pipeline.servers.runs import split_engine

#: Rounds of a comparison; an interval needs as many.
ROUNDS = LOOKS[0]

#: What results call the stages of `MIX`.
MIXED = "mix"

#: Batch sizes that are tried to find the best one of each language.
CANDIDATES = (500, 1000, 2000, 5000, 10_000)
# Runs of each candidate, of which the fastest counts.
_TRIED = 3


def not_built() -> dict[str, str]:
    """Return the languages that can't be measured, each with what to do."""
    return {
        name: f"the stages in {name} are not built; run: pipeline build-stages {name}"
        for name, language in LANGUAGES.items()
        if not language.is_built()
    }


@dataclass(frozen=True)
class _Sample:
    """One run with the stages of one language."""

    throughput_per_s: float
    #: For each record, as those of the stages.
    driver_cpu_s: float
    cpu_s: dict[str, float]
    peak_rss_bytes: dict[str, int]


class Languages:
    """The languages that are built, each with servers of one workload.

    Args:
        harness: Starts the servers, and checks the result of each run.
        workload: A name that `pipeline.languages.SERVED` has.
        **options: Of its records, such as ``iterations`` of work items.
    """

    def __init__(self, harness: Harness, workload: str, **options: object) -> None:
        missing = not_built()
        stages = {PYTHON: PYTHON, **{name: name for name in LANGUAGES}, MIXED: MIX}
        self._servers = {
            name: harness.servers_in(text, workload)
            for name, text in stages.items()
            if name not in missing and not (name == MIXED and missing)
        }
        self._runs = harness.runs(workload, **options)
        self._available = self._runs.dataset.available or math.inf
        self._run_s = harness.settings.run_seconds
        self._records: dict[int, int] = {}

    def in_the_pipeline(self, batch_size: int) -> list[LanguageRuns]:
        """Compare all stages in each language, in the whole pipeline.

        Every run has as many records as Python's stages pass in about
        ``--pipeline-run-seconds``.

        Raises:
            ConservationError: A result is not that of the monolith.
        """
        return self._at(dict.fromkeys(self._servers, batch_size))

    def at_their_best(self) -> list[LanguageRuns]:
        """Compare the languages in the whole pipeline, each at its best batch size.

        Raises:
            ConservationError: A result is not that of the monolith.
        """
        return self._at({name: self._best(name) for name in self._servers})

    def alone(self, stage: str, batch_size: int) -> list[LanguageRuns]:
        """Compare one stage in each language under the same load, without a pipeline.

        Raises:
            ConservationError: A stage answers otherwise than Python's.
        """
        records = self._records_at(batch_size)
        python = self._servers[PYTHON].values()
        load = loads_of(self._runs, python, batch_size, records)[stage]
        rounds = _rounds(
            {
                name: partial(_under_load, servers[stage], load, self._run_s / 2)
                for name, servers in self._servers.items()
                if name != MIXED
            }
        )
        return [
            _language_runs(name, batch_size, records, samples)
            for name, samples in rounds.items()
        ]

    def _at(self, batch_sizes: Mapping[str, int]) -> list[LanguageRuns]:
        rounds = _rounds(
            {
                name: partial(self._sample, name, batch_size)
                for name, batch_size in batch_sizes.items()
            }
        )
        return [
            _language_runs(
                name, batch_sizes[name], self._records_at(batch_sizes[name]), samples
            )
            for name, samples in rounds.items()
        ]

    def _best(self, name: str) -> int:
        return max(
            (size for size in CANDIDATES if size <= self._available),
            default=CANDIDATES[0],
            key=lambda size: max(
                self._sample(name, size).throughput_per_s for _ in range(_TRIED)
            ),
        )

    def _sample(self, name: str, batch_size: int) -> _Sample:
        engine = split_engine(self._servers[name].values())
        report = self._runs.run(engine, batch_size, self._records_at(batch_size))
        records = report.records.ingested
        stages = report.stages.items()
        return _Sample(
            report.throughput_per_s,
            report.cpu_s / records,
            {name: stage.cpu_s / records for name, stage in stages},
            {name: stage.peak_rss_bytes for name, stage in stages},
        )

    def _records_at(self, batch_size: int) -> int:
        """Return how many records a run has: the same in every language."""
        if batch_size not in self._records:
            engine = split_engine(self._servers[PYTHON].values())
            self._records[batch_size] = self._runs.records_for(
                engine, batch_size, self._run_s
            )
        return self._records[batch_size]


def _under_load(server: Server, load: Load, least_s: float) -> _Sample:
    """Put a load on a stage, again until it has taken ``least_s`` seconds."""
    loads = [run_load(server, load)]
    while sum(each.elapsed_s for each in loads) < least_s:
        loads.append(run_load(server, load))
    records = load.records * len(loads)
    return _Sample(
        records / sum(each.elapsed_s for each in loads),
        sum(each.driver_cpu_s for each in loads) / records,
        {load.stage: sum(each.cpu_s for each in loads) / records},
        {load.stage: max(each.peak_rss_bytes for each in loads)},
    )


def _rounds(samplers: Mapping[str, Callable[[], _Sample]]) -> dict[str, list[_Sample]]:
    """Return a sample of each in each round, after one that warms up."""
    for sampler in samplers.values():
        sampler()
    return in_turns(samplers, ROUNDS)


def _language_runs(
    name: str, batch_size: int, records: int, samples: Sequence[_Sample]
) -> LanguageRuns:
    stages = list(samples[0].cpu_s)
    return LanguageRuns(
        language=name,
        batch_size=batch_size,
        records=records,
        throughput_per_s=[sample.throughput_per_s for sample in samples],
        cpu_s={
            stage: statistics.median(sample.cpu_s[stage] for sample in samples)
            for stage in stages
        },
        driver_cpu_s=statistics.median(sample.driver_cpu_s for sample in samples),
        peak_rss_bytes={
            stage: max(sample.peak_rss_bytes[stage] for sample in samples)
            for stage in stages
        },
    )
