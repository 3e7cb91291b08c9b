"""Streams of records, and partitions of them into batches.

A stream holds its records as its source would send them at batch size 1, so that it can
be cut between any two records.
"""

from __future__ import annotations

import base64
import binascii
import io
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from google.protobuf import proto
from google.protobuf.message import DecodeError, Message

from pipeline.errors import UsageError
from pipeline.stages import Output
from pipeline.v1.lines_pb2 import Lines
from pipeline.v1.mixed_pb2 import MixedRecords
from pipeline.v1.work_items_pb2 import WorkItems
from pytest_pipeline.records.payloads import joined, shown

#: The sizes of the first batches of a stream, in records. The rest is one more batch.
Partition = tuple[int, ...]


#: The payload types that `numbered` numbers. Records of other types may depend on those
#: before them, so only consecutive ones make a stream.
NUMBERED = (Lines, WorkItems, MixedRecords)


@dataclass(frozen=True)
class Stream:
    """Records in order, each as the payload of a batch of one record."""

    payloads: tuple[Message, ...]

    def __len__(self) -> int:
        return len(self.payloads)

    def __str__(self) -> str:
        """Show one record a line, numbered from 1."""
        return "\n".join(
            f"{number}: {shown(payload)}"
            for number, payload in enumerate(self.payloads, 1)
        )

    def cut(self, partition: Partition) -> list[Output[Any]]:
        """Cut the stream into batches.

        Args:
            partition: the sizes of the batches; sizes past the end are ignored.

        Returns:
            The batches, none of them empty.

        Raises:
            UsageError: a size is below 1, or records can't be put into one batch.
        """
        if any(size < 1 for size in partition):
            raise UsageError(f"partition {partition}: sizes must be 1 or more")
        batches = []
        start = 0
        for size in (*partition, len(self.payloads)):
            taken = self.payloads[start : start + size]
            start += size
            if taken:
                batches.append(Output(joined(taken), records=len(taken)))
        return batches

    def encode(self) -> str:
        """Encode the stream as one word of letters, digits, "-", "_" and "="."""
        buffer = io.BytesIO()
        for payload in self.payloads:
            proto.serialize_length_prefixed(payload, buffer)
        return base64.urlsafe_b64encode(zlib.compress(buffer.getvalue(), 9)).decode()

    @classmethod
    def decode(cls, word: str, payload_type: type[Message]) -> Self:
        """Decode a word that `encode` returned.

        Args:
            word: the word.
            payload_type: the message type that the source of the workload sends.

        Raises:
            UsageError: the word does not encode a stream of such messages.
        """
        try:
            buffer = io.BytesIO(
                zlib.decompress(base64.b64decode(word, altchars=b"-_", validate=True))
            )
            payloads = []
            while (
                payload := proto.parse_length_prefixed(payload_type, buffer)
            ) is not None:
                payloads.append(payload)
        except (binascii.Error, zlib.error, DecodeError) as error:
            raise UsageError(
                f"stream {word[:20]!r}…: is not one of {payload_type.__name__}"
            ) from error
        return cls(tuple(payloads))


def parse_partition(text: str) -> Partition:
    """Parse sizes of batches, such as "1,2"; raise UsageError for anything else."""
    words = text.split(",") if text else []
    if not all(word.isdecimal() and int(word) >= 1 for word in words):
        raise UsageError(f"partition {text!r}: must be sizes from 1, such as 1,10,3")
    return tuple(map(int, words))


def numbered(payloads: Iterable[Message]) -> Stream:
    """Make a stream of payloads of one record each, and number them from 1.

    Payloads of types that are not from this package keep their numbers.
    """
    made = []
    lines = 0
    for record, payload in enumerate(payloads, 1):
        copy = type(payload)()
        copy.CopyFrom(payload)
        if isinstance(copy, Lines):
            copy.first_record = record
        elif isinstance(copy, WorkItems):
            copy.record[:] = [record]
        elif isinstance(copy, MixedRecords):
            copy.lines.first_record = lines + 1
            if copy.line_record:
                copy.line_record[:] = [record]
                lines += 1
            else:
                copy.items.record[:] = [record]
        made.append(copy)
    return Stream(tuple(made))
