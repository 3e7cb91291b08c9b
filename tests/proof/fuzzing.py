"""Give mutated lines to parse, and mutated messages to the wire.

``python -m tests.proof.fuzzing --inputs 1000000`` prints how many of them came to what.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence

from google.protobuf.message import DecodeError

from pipeline.stages import Output
from pipeline.transport import wire
from pipeline.v1.events_pb2 import Events
from pipeline.v1.lines_pb2 import Lines
from pipeline.v1.pipeline_pb2 import Batch
from pipeline.workloads.events.generate import generate_events
from pipeline.workloads.events.parse import REASONS, parse

_LINES_AT_ONCE = 500
_MOST_MUTATIONS = 4
# What parsers of JSON, of numbers, of UTF-8 and of protobuf have stumbled over.
_TOKENS = (
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b" ", b"\t", b"\r", b"\x00"),
    *(b"[" * 600, b'{"a":' * 600, b"\\u", b"\\ud800", b'\\udfff"', b"\\u0000"),
    *(b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf"),
    *(b"-0", b"1e999", b"-1e-999", b"NaN", b"Infinity", b"9" * 40, b"0.1" * 9),
    *(b"9223372036854775808", b"18446744073709551616", b"0x10", b"1_000", b"+1"),
    *(b"null", b"true", b'"ts":', b'"value":', b'"type":"click"', b'"user":""'),
    *(b"2026-02-30T25:61:61Z", b"0000-00-00", b"+24:00", b"\x80" * 11, b"\xff" * 10),
)


def mutated(draw: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Return ``data`` with a few changes."""
    for _ in range(draw.randint(1, _MOST_MUTATIONS)):
        start = draw.randint(0, len(data))
        end = draw.randint(start, min(len(data), start + 16))
        change = draw.randrange(5)
        if change == 0:
            middle = draw.choice(_TOKENS)
        elif change == 1:
            middle = draw.randbytes(end - start)
        elif change == 2:
            middle = data[start:end] * 2
        elif change == 3:
            middle = b""
        else:
            other = draw.choice(others)
            middle = other[draw.randint(0, len(other)) :]
            end = len(data)
        data = data[:start] + middle + data[end:]
    return data


def fuzz_lines(inputs: int, seed: int) -> Counter[str]:
    """Parse mutated lines; return how many became events, and rejections by reason."""
    draw = random.Random(seed)  # noqa: S311 - nothing secret is drawn
    outcomes = Counter[str]()
    good = list(generate_events(1000, seed=seed, users=50, malformed=0.2))
    for count in _shares(inputs, _LINES_AT_ONCE):
        lines = [
            mutated(draw, draw.choice(good).rstrip(), good).replace(b"\n", b" ")
            for _ in range(count)
        ]
        output = parse(_message(lines))
        check(output, count)
        # Whatever is in a line changes nothing of the others.
        cut = draw.randint(0, count)
        first, last = parse(_message(lines[:cut])), parse(_message(lines[cut:]))
        assert output.records == first.records + last.records
        assert [each.reason for each in output.rejections] == [
            each.reason for part in (first, last) for each in part.rejections
        ]
        assert list(output.message.value) == [*first.message.value, *last.message.value]
        outcomes["event"] += output.records
        outcomes.update(rejection.reason for rejection in output.rejections)
    return outcomes


def fuzz_messages(inputs: int, seed: int) -> Counter[str]:
    """Decode mutated messages, and parse what is one; return what they came to."""
    draw = random.Random(seed)  # noqa: S311 - nothing secret is drawn
    outcomes = Counter[str]()
    good = list(generate_events(10, seed=seed, users=5))
    batch = Batch(number=3, records=len(good), first_record=31)
    wire.pack(Lines(first_record=31, text=b"".join(good)), into=batch.payload)
    message = batch.SerializeToString()
    for _ in range(inputs):
        try:
            request = Batch.FromString(mutated(draw, message, [message, *good]))
            lines = wire.unpack(request.payload, Lines)
        except (DecodeError, wire.PayloadError) as error:
            outcomes[type(error).__name__] += 1
        else:
            output = parse(lines)
            ends = lines.text.count(b"\n")
            assert output.records + len(output.rejections) == ends
            outcomes["parsed"] += 1
    return outcomes


def check(output: Output[Events], lines: int) -> None:
    """Check that every line is an event or a rejection with its own number."""
    assert output.records + len(output.rejections) == lines
    assert len(output.message.value) == output.records
    numbers = [rejection.record for rejection in output.rejections]
    assert numbers == sorted(set(numbers))
    assert set(numbers) <= set(range(1, lines + 1))
    assert {rejection.reason for rejection in output.rejections} <= set(REASONS)


def _message(lines: Sequence[bytes]) -> Lines:
    return Lines(first_record=1, text=b"".join(line + b"\n" for line in lines))


def _shares(total: int, most: int) -> Iterator[int]:
    while total > 0:
        yield min(total, most)
        total -= most


def main() -> None:
    """Fuzz, half of the inputs as lines and half as messages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    half = arguments.inputs // 2
    for fuzz in (fuzz_lines, fuzz_messages):
        outcomes = fuzz(half, arguments.seed)
        came_to = [f"  {it}: {count:,}" for it, count in outcomes.most_common()]
        lines = [f"{fuzz.__name__}: {half:,} inputs", *came_to]
        sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
