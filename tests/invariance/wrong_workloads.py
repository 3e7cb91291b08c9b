"""Workloads that are wrong only in long streams, each in one way."""

from __future__ import annotations

import json
from typing import Any

from google.protobuf.struct_pb2 import Struct

from pipeline import LINES, Lines, Output, Workload, decoded, numbered_lines, stage


def lines_of(*keys: str, count: int = 60) -> bytes:
    """Return lines with these keys in turn, and values with three decimals."""
    return b"".join(
        f"{keys[number % len(keys)]},{number * 7919 % 20011 / 1000}\n".encode()
        for number in range(1, count + 1)
    )


def counted(lines: Lines) -> Output[Struct]:
    """Count the lines of each key."""
    counts: dict[str, int] = {}
    records = 0
    for _, line in numbered_lines(lines):
        key = decoded(line).partition(",")[0]
        counts[key] = counts.get(key, 0) + 1
        records += 1
    out = Struct()
    out.update(counts)
    return Output(out, records)


def summed(lines: Lines) -> Output[Struct]:
    """Add the values of each key as floats, which rounds by the batch."""
    sums: dict[str, float] = {}
    records = 0
    for _, line in numbered_lines(lines):
        key, value = decoded(line).split(",")
        sums[key] = sums.get(key, 0.0) + float(value)
        records += 1
    out = Struct()
    out.update({**sums, "records": records})
    return Output(out, records)


def counted_past_a_thousand(lines: Lines) -> Output[Struct]:
    """Count a batch of more than 1,000 lines as one line less."""
    output = counted(lines)
    if output.records > 1000:
        counts: Any = output.message
        key = min(counts)
        counts[key] -= 1
    return output


def counted_but_for_256(lines: Lines) -> Output[Struct]:
    """Lose the counts of a batch of exactly 256 lines."""
    output = counted(lines)
    return Output(Struct(), 256) if output.records == 256 else output


def raising(lines: Lines) -> Output[Struct]:
    """Raise for every batch."""
    raise ZeroDivisionError(f"no luck with {len(lines.text)} bytes")


class Totals:
    """Adds the numbers of each key."""

    def __init__(self) -> None:
        self.numbers: dict[str, Any] = {}

    @property
    def records(self) -> int:
        """Return the records that a batch told, or else the sum of its counts."""
        return int(self.numbers.get("records", sum(self.numbers.values())))

    def add(self, part: Any, /) -> bytes:
        """Add a batch."""
        Totals.merge(self, part)
        return b""

    def merge(self, part: Any, /) -> None:
        """Add a state."""
        for key, value in part.items():
            self.numbers[key] = self.numbers.get(key, 0.0) + value

    def state(self) -> Struct:
        """Return the numbers."""
        out = Struct()
        out.update(self.numbers)
        return out

    def finish(self) -> bytes:
        """Return the numbers as JSON, sorted by key."""
        return json.dumps(self.numbers, sort_keys=True).encode()


class InOrderOfArrival(Totals):
    """Returns its result in the order in which the keys came."""

    def state(self) -> Struct:
        """Return the numbers and, from 20 keys on, their order."""
        out = super().state()
        if len(self.numbers) >= 20:
            out.update({"": float(int.from_bytes(next(iter(self.numbers)).encode()))})
        return out

    def merge(self, part: Any, /) -> None:
        """Leave out the order."""
        super().merge(part)
        self.numbers.pop("", None)


class ForgetsPast64KiB(Totals):
    """Keeps a state of 64 KiB at most, as a buffer of that size would."""

    def state(self) -> Struct:
        """Leave out the last keys if the state is too large."""
        out = super().state()
        if out.ByteSize() > 64 * 1024:
            out = Struct()
            out.update({key: self.numbers[key] for key in sorted(self.numbers)[:500]})
        return out


class LosesTies(Totals):
    """Drops a key of another state if both have counted it 100 times."""

    def merge(self, part: Any, /) -> None:
        """Add all but the ties."""
        for key, value in part.items():
            if not self.numbers.get(key) == value == 100:
                self.numbers[key] = self.numbers.get(key, 0.0) + value


FLOATS = Workload(LINES, (stage(summed),), Totals, name="mine:FLOATS")
ORDER = Workload(LINES, (stage(counted),), InOrderOfArrival, name="mine:ORDER")
STATE = Workload(LINES, (stage(counted),), ForgetsPast64KiB, name="mine:STATE")
TIES = Workload(LINES, (stage(counted),), LosesTies, name="mine:TIES")
LONG = Workload(LINES, (stage(counted_past_a_thousand),), Totals, name="mine:LONG")
POWER = Workload(LINES, (stage(counted_but_for_256),), Totals, name="mine:POWER")
RAISING = Workload(LINES, (stage(raising),), Totals, name="mine:RAISING")
RIGHT = Workload(LINES, (stage(counted),), Totals, name="mine:RIGHT")
