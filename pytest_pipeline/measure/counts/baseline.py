"""The baseline file of counts, and how counts differ from it.

The file is JSON with one count a line, under a name that needs no context, so that a
reviewer can read its diff alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from pytest_pipeline.measure.baseline_file import (
    read_baseline,
    sort_naturally,
    write_baseline,
)

#: How many more or fewer instructions a call may have, as a fraction of the baseline.
#: They are the same each time in one environment. A longer path of the installation
#: alone changed the memory layout, and a short function by 1 %.
TOLERANCE = 0.02

_RECORDS = "records"


class Instructions(msgspec.Struct):
    """The instructions that one call of each stage function executes, by name.

    Two of these are comparable if their fingerprints are equal: the Python, the
    processor's architecture, the libraries, and the program that counted.
    """

    fingerprint: dict[str, str]
    per_call: dict[str, int]

    def fingerprint_difference(self, here: Mapping[str, str]) -> str:
        """Return what differs in the fingerprint ``here``; empty if nothing does."""
        was = self.fingerprint
        return "; ".join(
            f"{name} {here.get(name)}, baseline {was.get(name)}"
            for name in sorted(was.keys() | here.keys())
            if was.get(name) != here.get(name)
        )


class _CountsContent(msgspec.Struct, forbid_unknown_fields=True):
    counts: dict[str, int]
    instructions: Instructions | None = None


@dataclass
class CountsBaseline:
    """The content of a baseline file of counts.

    The name of a count begins with that of its run, such as ``events at batch size 10``
    in ``events at batch size 10: bytes to parse``.
    """

    counts: dict[str, int] = field(default_factory=dict)
    instructions: Instructions | None = None

    @classmethod
    def read(cls, path: Path) -> CountsBaseline:
        """Read the file.

        Raises:
            UsageError: It is missing, unreadable, or not one of counts.
        """
        content = read_baseline(path, _CountsContent)
        return cls(content.counts, content.instructions)

    def write(self, path: Path) -> None:
        """Replace the file, atomically.

        Raises:
            UsageError: It can't be written; it is then unchanged.
        """
        content: dict[str, object] = {"counts": _sorted(self.counts)}
        if self.instructions is not None:
            content["instructions"] = {
                "fingerprint": dict(sorted(self.instructions.fingerprint.items())),
                "per_call": _sorted(self.instructions.per_call),
            }
        write_baseline(path, content)

    def replace(self, run: str, counts: Mapping[str, int]) -> None:
        """Replace all counts of a run."""
        for name in self._names_of(run):
            del self.counts[name]
        self.counts |= _full_names(run, counts)

    def drop_others(self, runs: Iterable[str]) -> None:
        """Remove the counts of all runs but these."""
        for name in self.others(runs):
            del self.counts[name]

    def others(self, runs: Iterable[str]) -> list[str]:
        """Return the names of the counts of all runs but these."""
        known = {name for run in runs for name in self._names_of(run)}
        return sort_naturally(set(self.counts) - known)

    def differences(self, run: str, counts: Mapping[str, int]) -> list[str]:
        """Return a line for each count of a run that differs from the baseline.

        Args:
            run: What the names of its counts begin with.
            counts: What was counted, ``records`` included.
        """
        was = {name: self.counts[name] for name in self._names_of(run)}
        now = _full_names(run, counts)
        records = counts[_RECORDS]
        return [
            _difference(name, was.get(name), now.get(name), records)
            for name in _sorted(was | now)
            if was.get(name) != now.get(name)
        ]

    def _names_of(self, run: str) -> list[str]:
        return [name for name in self.counts if name.startswith(f"{run}: ")]


def instructions_difference(name: str, was: int | None, now: int) -> str:
    """Return a line if instructions differ by more than `TOLERANCE`; else nothing.

    Args:
        name: Of the call.
        was: The baseline's count; None if it has no such call.
        now: The count of this session.
    """
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


def _full_names(run: str, counts: Mapping[str, int]) -> dict[str, int]:
    return {f"{run}: {name}": count for name, count in counts.items()}


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: counts[name] for name in sort_naturally(counts)}
