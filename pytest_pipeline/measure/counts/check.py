"""Compare counts with the baseline file, or write them to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest

from pytest_pipeline.measure.baseline_file import BaselineFile
from pytest_pipeline.measure.counts.baseline import (
    CountsBaseline,
    Instructions,
    instructions_difference,
)


@dataclass
class CountsCheck:
    """The baseline check of counts in one session.

    Its methods fail or skip the running test. In an update they write the file instead.
    """

    file: BaselineFile
    baseline: CountsBaseline

    @classmethod
    def of(cls, config: pytest.Config) -> CountsCheck:
        """Read the file that the options name.

        Raises:
            pytest.UsageError: No file is named, or it is to be written under xdist.
            UsageError: The file is missing, unreadable, or not one of counts.
        """
        file = BaselineFile.of(config)
        if file.is_new:
            return cls(file, CountsBaseline())
        return cls(file, CountsBaseline.read(file.path))

    def check_run(self, run: str, counts: Mapping[str, int]) -> None:
        """Fail the test if a count of a run differs from the baseline.

        Args:
            run: What the names of its counts begin with; see `run_name`.
            counts: By name, ``records`` among them.
        """
        if self.file.update:
            self.baseline.replace(run, counts)
            self.baseline.write(self.file.path)
        elif differences := self.baseline.differences(run, counts):
            self.file.fail(*differences)

    def check_complete(self, runs: Sequence[str]) -> None:
        """Fail the test if the file has counts of other runs than these."""
        if self.file.update:
            self.baseline.drop_others(runs)
            self.baseline.write(self.file.path)
        elif others := self.baseline.others(runs):
            counts = self.baseline.counts
            self.file.fail(
                *(
                    f"{name}: nothing counts this, baseline {counts[name]:,}"
                    for name in others
                )
            )

    def skip_unless_comparable(self, fingerprint: Mapping[str, str]) -> None:
        """Skip the test if instructions counted here can't be compared with the file's.

        Args:
            fingerprint: Of this environment; see `Instructions`.
        """
        if not self.file.update:
            self._comparable_instructions(fingerprint)

    def check_instructions(self, name: str, found: Instructions) -> None:
        """Fail the test if a call executes more or fewer instructions than tolerated.

        Args:
            name: Of the call, among those of ``found``.
            found: What was counted of all calls.
        """
        if self.file.update:
            self.baseline.instructions = found
            self.baseline.write(self.file.path)
            return
        was = self._comparable_instructions(found.fingerprint)
        line = instructions_difference(
            name, was.per_call.get(name), found.per_call[name]
        )
        if line:
            self.file.fail(line)

    def _comparable_instructions(self, fingerprint: Mapping[str, str]) -> Instructions:
        was = self.baseline.instructions
        if was is None:
            pytest.skip("the baseline was made where nothing counts instructions")
        if difference := was.fingerprint_difference(fingerprint):
            pytest.skip(f"instructions of another kind: {difference}")
        return was
