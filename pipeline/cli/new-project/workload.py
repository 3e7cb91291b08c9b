"""Summarise temperature readings, one CSV line each: `kitchen,21.5`."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation

from readings_pb2 import Reading, Summaries, Summary

from pipeline import LINES, Output, Refused, Rows, Workload, messages, per_record, stage


def parse(line: str) -> Reading:
    """Parse one line; the Refused that it raises rejects the line."""
    sensor, comma, degrees = line.partition(",")
    if not (sensor and comma):
        raise Refused("no_sensor")
    try:
        millidegrees = int(Decimal(degrees) * 1000)
    except (InvalidOperation, OverflowError, ValueError):
        raise Refused("no_number") from None
    if abs(millidegrees) > 1_000_000:
        raise Refused("out_of_range")
    return Reading(sensor=sensor, millidegrees=millidegrees)


def summarise(rows: Rows) -> Output[Summaries]:
    """Summarise the readings of a batch."""
    result = Result()
    for reading in messages(rows, Reading):
        result.count(
            Summary(
                sensor=reading.sensor,
                readings=1,
                total_millidegrees=reading.millidegrees,
                highest_millidegrees=reading.millidegrees,
            )
        )
    return Output(result.state(), records=len(rows.row))


class Result:
    """The summary of each sensor over all batches."""

    def __init__(self) -> None:
        self._summaries: dict[str, Summary] = {}

    @property
    def records(self) -> int:
        """The readings that were counted."""
        return sum(summary.readings for summary in self._summaries.values())

    def count(self, part: Summary) -> None:
        """Add the summary of some readings of one sensor."""
        known = self._summaries.get(part.sensor)
        if known is None:
            self._summaries[part.sensor] = part
            return
        known.readings += part.readings
        known.total_millidegrees += part.total_millidegrees
        known.highest_millidegrees = max(
            known.highest_millidegrees, part.highest_millidegrees
        )

    def add(self, part: Summaries, /) -> bytes:
        """Add a batch. Nothing can be written before the end."""
        self.merge(part)
        return b""

    def merge(self, part: Summaries, /) -> None:
        """Add the state of another result."""
        for summary in part.summary:
            self.count(Summary.FromString(summary.SerializeToString()))

    def state(self) -> Summaries:
        """Return all that was added."""
        return Summaries(
            summary=[self._summaries[sensor] for sensor in sorted(self._summaries)]
        )

    def finish(self) -> bytes:
        """Return a line of JSON for each sensor."""
        return b"".join(
            json.dumps(
                {
                    "sensor": summary.sensor,
                    "readings": summary.readings,
                    "mean": summary.total_millidegrees / summary.readings / 1000,
                    "highest": summary.highest_millidegrees / 1000,
                }
            ).encode()
            + b"\n"
            for summary in self.state().summary
        )


READINGS = Workload(
    source=LINES,
    transforms=(per_record(parse), stage(summarise)),
    new_result=Result,
)
