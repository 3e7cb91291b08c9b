"""Continue to read a source where a run has come to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.message import Message

from pipeline.batching import DEFAULT_BATCH_BYTES, BatchLimits, LiveLimits
from pipeline.errors import SourceError
from pipeline.source import Opener, Source
from pipeline.stages import Output, check_output
from pipeline.v1.pipeline_pb2 import Position

# Records that are skipped are cut into batches of so many, where limits can change.
_SKIPPED_AT_ONCE = 10_000


def read_from(
    position: Position,
    source: Source[Any, Any],
    spec: Message,
    limits: BatchLimits,
    max_records: int,
    inputs: Opener,
) -> Iterator[Output[Any]]:
    """Yield the batches of a source that follow ``position``; see `ReadFunction`.

    The records before it are read and thrown away. A source whose limits are not live
    must be cut by the limits that it was cut by before.

    Raises:
        SourceError: The records can't be read, or no batch ends at the position.
    """
    __tracebackhide__ = True
    if position.records and source.live_limits and not isinstance(limits, LiveLimits):
        limits = LiveLimits(limits.records, limits.bytes)
    outputs = iter(source.read(spec, limits, max_records, inputs))
    if position.records:
        _skip(outputs, position.records, limits, source.returns)
    yield from outputs


def _skip(
    outputs: Iterator[Output[Any]],
    records: int,
    limits: BatchLimits,
    declared: type[Message],
) -> None:
    """Take the batches of the first ``records`` records; leave the limits as they are.

    Raises:
        SourceError: No batch ends there.
    """
    __tracebackhide__ = True
    following = (limits.records, limits.bytes)
    left = records
    while left > 0:
        if isinstance(limits, LiveLimits):
            limits.change(min(left, _SKIPPED_AT_ONCE), DEFAULT_BATCH_BYTES)
        output = next(outputs, None)
        if output is None:
            break
        check_output(output, declared)
        left -= output.records + output.filtered + len(output.rejections)
    if left:
        raise SourceError(
            f"the run has come to record {records}, where no batch of the source ends "
            f"now: its records are not the same as before; start the run anew"
        )
    if isinstance(limits, LiveLimits):
        limits.change(*following)
