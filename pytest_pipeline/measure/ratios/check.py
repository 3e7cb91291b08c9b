"""Compare ratios with the baseline file, or write them to it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import pytest

from pytest_pipeline.measure.baseline_file import BaselineFile
from pytest_pipeline.measure.harness import Harness
from pytest_pipeline.measure.ratios import measuring
from pytest_pipeline.measure.ratios.baseline import Provenance, RatiosBaseline
from pytest_pipeline.measure.ratios.judging import (
    MOST_USED,
    JudgedRatio,
    MeasuredRatio,
    judge_ratio,
)
from pytest_pipeline.measure.ratios.pairs import Pair

#: Exit codes of a session without failures, the same as those of the gate: nothing
#: could be compared with the file; some verdicts are inconclusive.
NOTHING_COMPARED = 5
INCONCLUSIVE = 6


@dataclass
class RatiosCheck:
    """The baseline check of ratios in one session.

    Its methods fail or skip the running test. In an update they write the file instead.
    """

    file: BaselineFile
    baseline: RatiosBaseline
    #: Why ratios of this machine can't be compared with the file's; empty if they can.
    incomparable: str
    judged: list[JudgedRatio] = field(default_factory=list)
    #: Ratios that were skipped since this machine's are not comparable.
    skipped: int = 0
    #: The largest share of the CPU that others used while the file was updated.
    used: float = 0.0

    @classmethod
    def of(cls, config: pytest.Config) -> RatiosCheck:
        """Read the file that the options name.

        Raises:
            pytest.UsageError: No file is named, or the session runs under xdist.
            UsageError: The file is missing, unreadable, or not one of ratios.
        """
        if hasattr(config, "workerinput"):
            raise pytest.UsageError(
                "ratios: what is measured beside other workers of xdist says "
                "nothing; add -n 0"
            )
        file, here = BaselineFile.of(config), Provenance.here()
        if file.is_new:
            return cls(file, RatiosBaseline(here), "")
        baseline = RatiosBaseline.read(file.path)
        difference = baseline.made_on.difference(here)
        if difference and file.update:
            # All ratios of a file come from one kind of machine.
            return cls(file, RatiosBaseline(here), "")
        return cls(file, baseline, difference)

    def check_ratio(self, pair: Pair, harness: Harness, budget_s: float) -> None:
        """Measure a ratio, and fail the test if it is worse than the baseline's.

        Skips the test if the verdict is inconclusive, or this machine's ratios can't be
        compared with the file's.

        Args:
            pair: Whose ratio it is.
            harness: Runs both.
            budget_s: Seconds after which no more rounds are added.
        """
        if self.file.update:
            self._write(pair, harness, budget_s)
            return
        records = self.baseline.records_of(pair)
        was = self.baseline.ratios.get(pair.name)
        if was is None or len(records) < len(pair.batch_sizes):
            self.file.fail(f"{pair.name}: the baseline has no such ratio")
        available = harness.runs(pair.workload).dataset.available
        if available is not None and available < max(records.values()):
            self.file.fail(
                f"{pair.name}: the baseline is of runs of {max(records.values()):,} "
                f"records, and the input has only {available:,}"
            )
        if self.incomparable:
            self.skipped += 1
            pytest.skip(f"{self.file.path} is of another machine: {self.incomparable}")

        def judged(found: MeasuredRatio) -> JudgedRatio:
            return judge_ratio(pair.name, was, found, is_speedup=pair.is_speedup)

        result = judged(
            measuring.measure_ratio(
                harness,
                pair,
                records,
                is_open=lambda found: judged(found).verdict == "inconclusive",
                budget_s=budget_s,
            )
        )
        self.judged.append(result)
        if result.verdict == "worse":
            self.file.fail(str(result))
        if result.verdict == "inconclusive":
            pytest.skip(str(result))

    def check_complete(self, pairs: Collection[Pair]) -> None:
        """Fail the test if the file has ratios other than these."""
        if self.file.update:
            self.baseline.drop_others(pairs)
            self.baseline.write(self.file.path)
        elif others := self.baseline.others(pairs):
            self.file.fail(*(f"{name}: nothing measures this" for name in others))

    def _write(self, pair: Pair, harness: Harness, budget_s: float) -> None:
        """Measure a ratio in as many rounds as the budget allows, and write it."""
        records = self.baseline.records_of(pair)
        for size in pair.batch_sizes:
            # The file's own are kept, since its other ratios depend on them too.
            if size not in records:
                records[size] = measuring.records_for(harness, pair.workload, size)
                self.baseline.set_records(pair, size, records[size])
        found = measuring.measure_ratio(
            harness, pair, records, is_open=lambda _: True, budget_s=budget_s
        )
        self.used = max(self.used, found.used)
        self.baseline.replace(pair.name, found.ratio, found.records_per_s)
        self.baseline.made_on = Provenance.here()
        self.baseline.write(self.file.path)

    @property
    def exit_code(self) -> int:
        """The exit code of a session without failures."""
        if any(result.verdict == "inconclusive" for result in self.judged):
            return INCONCLUSIVE
        return NOTHING_COMPARED if self.skipped else pytest.ExitCode.OK

    def notes(self) -> Iterator[str]:
        """Yield the lines of the terminal summary that follow the verdicts."""
        path = self.file.path
        improved = sum(result.verdict == "improved" for result in self.judged)
        if improved:
            yield (
                f"improved: {improved}; keep it with --pipeline-update-baseline, and "
                f"commit {path}"
            )
        if self.file.update:
            yield self.file.written
            if self.used > MOST_USED:
                yield (
                    f"others used {self.used:.0%} of the CPU: write {path} again on "
                    f"an idle machine"
                )
