"""The file of counts that was committed, and what differs from it.

It is JSON with one count a line, under a name that says all of it, so that its diff can
be read by itself in a review.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from pytest_pipeline.measure.baseline_file import (
    by_number,
    read_committed,
    write_committed,
)

#: Instructions that a call may have more or fewer, as a fraction of the baseline. In
#: one environment they are the same each time; in another with longer paths, what is
#: in memory lies elsewhere, and that alone was 1 % of a short function.
TOLERANCE = 0.02

_RECORDS = "records"


class Instructions(msgspec.Struct):
    """Instructions of one call of each stage function, by name.

    They are comparable where ``fingerprint`` is the same: the Python, the processor's
    architecture, the libraries, and what has counted.
    """

    fingerprint: dict[str, str]
    per_call: dict[str, int]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    counts: dict[str, int]
    instructions: Instructions | None = None


@dataclass
class CountsBaseline:
    """The counts of a file, to compare with and to replace."""

    counts: dict[str, int] = field(default_factory=dict)
    instructions: Instructions | None = None

    @classmethod
    def read(cls, path: Path) -> CountsBaseline:
        """Read a file; raise UsageError where there is none, or it is none of ours."""
        read = read_committed(path, _File)
        return cls(read.counts, read.instructions)

    def write(self, path: Path) -> None:
        """Replace the file, or leave it as it was; raise UsageError if it can't be."""
        content: dict[str, object] = {"counts": _sorted(self.counts)}
        if self.instructions is not None:
            content["instructions"] = {
                "fingerprint": dict(sorted(self.instructions.fingerprint.items())),
                "per_call": _sorted(self.instructions.per_call),
            }
        write_committed(path, content)

    def replace(self, where: str, counts: Mapping[str, int]) -> None:
        """Have these counts, and no others, of the runs that ``where`` names."""
        for name in self._of(where):
            del self.counts[name]
        self.counts |= _full(where, counts)

    def drop_others(self, wheres: list[str]) -> None:
        """Have no counts but those of these runs."""
        for name in self.others(wheres):
            del self.counts[name]

    def others(self, wheres: list[str]) -> list[str]:
        """Return the names of counts that are of none of these runs."""
        known = {name for where in wheres for name in self._of(where)}
        return by_number(set(self.counts) - known)

    def differences(self, where: str, counts: Mapping[str, int]) -> list[str]:
        """Return a line for each count of ``where`` that is not the baseline's.

        ``counts`` has what was counted, its records among it.
        """
        was = {name: self.counts[name] for name in self._of(where)}
        now = _full(where, counts)
        records = counts[_RECORDS]
        return [
            _difference(name, was.get(name), now.get(name), records)
            for name in _sorted(was | now)
            if was.get(name) != now.get(name)
        ]

    def _of(self, where: str) -> list[str]:
        return [name for name in self.counts if name.startswith(f"{where}: ")]


def more_or_less(name: str, was: int | None, now: int) -> str:
    """Return a line if instructions are not the baseline's, about; else nothing."""
    if was is None:
        return f"{name}: {now:,}, but the baseline has no such count"
    if abs(now - was) <= TOLERANCE * was:
        return ""
    return (
        f"{name}: {now:,}, baseline {was:,} ({now / was - 1:+.1%}, and "
        f"{TOLERANCE:.1%} more or less is allowed)"
    )


def _difference(name: str, was: int | None, now: int | None, records: int) -> str:
    if was is None:
        return f"{name}: {now:,}, but the baseline has no such count"
    if now is None:
        return f"{name}: nothing counts this, baseline {was:,}"
    if "bytes" not in name:
        return f"{name}: {now:,}, baseline {was:,}"
    each = f"{now / records:,.2f} a record, {(now - was) / records:+,.2f}"
    return f"{name}: {now:,}, baseline {was:,} ({each})"


def _full(where: str, counts: Mapping[str, int]) -> dict[str, int]:
    return {f"{where}: {name}": count for name, count in counts.items()}


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: counts[name] for name in by_number(counts)}
