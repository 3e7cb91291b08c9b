"""What a test has measured, for the saved JSON and the report."""

from __future__ import annotations

from msgspec.structs import replace

from pytest_pipeline.measure.comparison import Answer
from pytest_pipeline.measure.results import Measured


class Record:
    """What one test has measured so far; what the fixture ``pipeline_record`` is."""

    def __init__(self) -> None:
        self._measured: Measured | None = None
        self._answers: list[Answer] = []

    def note(self, measured: Measured) -> None:
        """Take note of what the test is about, and of what came of it."""
        self._measured = measured

    def answered(self, answer: Answer) -> None:
        """Take note of the answer of a comparison."""
        self._answers.append(answer)

    @property
    def measured(self) -> Measured | None:
        """All of it; None where nothing was measured."""
        measured = self._measured
        if measured is None and self._answers:
            measured = Measured(group="comparisons")
        if measured is None:
            return None
        return replace(
            measured, comparisons=[answer.compared for answer in self._answers]
        )
