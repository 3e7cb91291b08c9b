"""How many records of a run may be rejected."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from pipeline.errors import SourceError, UsageError

_LIMIT = re.compile(r"(\d+)|(\d+(?:\.\d*)?|\.\d+)%", re.ASCII)


@dataclass(frozen=True, slots=True)
class RejectLimit:
    """The most records of a run that may be rejected."""

    #: As the user wrote it, for messages.
    text: str
    #: The most records; None if the limit is a percentage.
    records: int | None
    #: The highest percentage of all records.
    percent: float = 100.0

    @classmethod
    def parsed(cls, text: str) -> Self:
        """Return the limit that ``N`` or ``P%`` states.

        Raises:
            UsageError: It is neither, or above 100 %.
        """
        match = _LIMIT.fullmatch(text)
        if match is None or (match[2] and float(match[2]) > 100):
            raise UsageError(
                f"--max-rejects {text!r}: must be a number of records, or a "
                f"percentage of them such as 0.5%"
            )
        if match[1]:
            return cls(text, int(match[1]))
        return cls(text, None, float(match[2]))

    def check_count(self, rejected: int) -> None:
        """Check a run that goes on; a percentage can be checked at its end only.

        Raises:
            SourceError: More are rejected than may be.
        """
        if self.records is not None and rejected > self.records:
            raise self._exceeded(f"{rejected:,} records are rejected so far")

    def check_end(self, rejected: int, ingested: int) -> None:
        """Check a run that has ended.

        Raises:
            SourceError: More are rejected than may be.
        """
        if rejected * 100 > self.percent * ingested or (
            self.records is not None and rejected > self.records
        ):
            raise self._exceeded(f"{rejected:,} of {ingested:,} records are rejected")

    def _exceeded(self, what: str) -> SourceError:
        return SourceError(
            f"{what}, more than --max-rejects {self.text}; nothing was published"
        )
