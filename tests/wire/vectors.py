"""The golden vectors: inputs with their right outputs, for stages in every language.

``python -m tests.wire.vectors`` writes ``proto/golden/*.json`` from the stages in
Python. A test fails where a file is not what they give, so a change of a result shows
in the diff of these files.
"""

from __future__ import annotations

import base64
import json
import math
import random
import struct
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import reduce
from typing import Any

from google.protobuf.message import Message

from pipeline.batching import BatchLimits, LineBatch, LineBatcher
from pipeline.stages import Refused
from pipeline.transport import wire
from pipeline.v1.lines_pb2 import Lines
from pipeline.v1.pipeline_pb2 import Batch
from pipeline.v1.work_items_pb2 import WorkItems
from pipeline.workload import Workload
from pipeline.workloads import workload_named
from pipeline.workloads.events.aggregate import to_bytes
from pipeline.workloads.events.parse import read_event
from pipeline.workloads.work_items.aggregate import exact_total, merge, totals_of
from tests.wire.contract import PROTO

FOLDER = PROTO / "golden"

_TS = '"ts":"2026-01-01T00:00:00Z"'
_GOOD = '{"ts":"2026-01-01T00:00:00Z","type":"click","user":"u","value":1}'


def vectors() -> dict[str, list[dict[str, Any]]]:
    """Return the content of each file, by its name without the suffix."""
    return {
        "event_lines": [_event_line(line) for line in _lines()],
        "line_batches": list(_line_batches()),
        "doubles": [
            {"bits": _bits(value), "text": repr(value)} for value in _doubles()
        ],
        "integers": [
            {"integer": str(value), "bytes": to_bytes(value).hex()}
            for value in _integers()
        ],
        "averages": [
            {"sum": str(total), "count": count, "text": repr(total / count)}
            for total, count in _averages()
        ],
        "totals": [_totals(scores) for scores in _scores()],
        "stages": [
            vector
            for name, payloads in _payloads().items()
            for vector in _stages(workload_named(name), payloads)
        ],
        "results": [
            _result(workload_named(name), payloads)
            for name, all_payloads in _payloads().items()
            for payloads in (all_payloads[:1], all_payloads)
        ],
    }


def encoded(content: list[dict[str, Any]]) -> str:
    """Return the text of a file: a JSON array, one vector a line."""
    lines = ",\n".join(json.dumps(vector) for vector in content)
    return f"[\n{lines}\n]\n"


def _event_line(line: bytes) -> dict[str, Any]:
    """Return a line of events, and its event or the rejection."""
    vector: dict[str, Any] = {"line": _base64(line)}
    try:
        event = read_event(line)
    except Refused as refused:
        return vector | {"reason": refused.reason, "field": refused.field}
    event.value = int(event.value)
    fields = {name: getattr(event, name) for name in ("ts", "type", "user")}
    return vector | {"event": fields | {"value": str(event.value)}}


def _lines() -> Iterator[bytes]:
    def with_value(value: str) -> str:
        return f'{{{_TS},"type":"view","user":"u","value":{value}}}'

    def with_ts(text: str) -> str:
        return _GOOD.replace("2026-01-01T00:00:00Z", text)

    texts = [
        _GOOD,
        f" \t{_GOOD} \t\r",
        _GOOD.replace(":", " : "),
        _GOOD.replace('"u"', '"\\u00e9\\ud83d\\ude00\\n\\/"'),
        _GOOD.replace('"u"', '""'),
        _GOOD.replace('"u"', '"\U0001f600\u2028\x7f"'),
        _GOOD.replace('"u"', '"\\u0000"'),
        _GOOD.replace('"user"', '"us\\u0065r"'),
        _GOOD.replace("}", ',"value":2}'),
        _GOOD.replace("}", ',"value":"2"}'),
        _GOOD.replace('"value"', '"Value"'),
        _GOOD.replace("}", ',"more":{"a":[1,{"b":null}],"c":true}}'),
        _GOOD.replace("}", ',"more":"\\ud800"}'),
        _GOOD.replace("}", ',"\\ud800":1}'),
        _GOOD.replace("}", ',"__proto__":{"ts":1}}'),
        # Nesting: 500 deep is read, 501 is not.
        _GOOD.replace("}", ',"more":' + "[" * 499 + "]" * 499 + "}"),
        _GOOD.replace("}", ',"more":' + "[" * 500 + "]" * 500 + "}"),
        _GOOD.replace("}", ',"more":' + '{"a":' * 500 + "1" + "}" * 500 + "}"),
        _GOOD.replace("}", ',"more":"' + "[" * 600 + '"}'),
        "[" * 501 + "]" * 501,
        # No JSON, or another value.
        "",
        " \t\r",
        "\u00a0",
        "\ufeff" + _GOOD,
        _GOOD + _GOOD,
        _GOOD[:-1],
        _GOOD.replace("1}", "1,}"),
        _GOOD.replace('"click"', "'click'"),
        _GOOD.replace('"u"', '"\t"'),
        _GOOD.replace('"u"', '"\\x"'),
        _GOOD.replace('"u"', '"\\ud83d\\u00"'),
        *map(with_value, ("01", "1.", ".5", "+1", "1e", "-", "NaN", "Infinity")),
        *("null", "true", "1", '"text"', "[]", f"[{_GOOD}]", "{}", "nul"),
        # Fields.
        *(f"{{{_TS}{rest}}}" for rest in ("", ',"type":"click"', ',"user":"u"')),
        _GOOD.replace('"click"', "null"),
        _GOOD.replace('"u"', "1"),
        _GOOD.replace('"u"', '"\\ud800"'),
        _GOOD.replace('"u"', '"\\udc00\\ud800"'),
        _GOOD.replace('"click"', '"Click"'),
        _GOOD.replace('"click"', '"\\ud800"'),
        _GOOD.replace('"click"', '"unspecified"'),
        *map(with_value, ("true", "null", '"1"', "[]", "{}")),
        # Values.
        *map(with_value, ("0", "-0", "-0.0", "0.9", "-0.9", "1.5e1", "1E2", "1e-400")),
        *map(with_value, ("9007199254740992", "-9007199254740992")),
        *map(with_value, ("9007199254740993", "-9007199254740993", "1e400", "-1e400")),
        *map(with_value, ("9007199254740992.5", "9007199254740993.0", "9.1e15")),
        *map(with_value, ("9007199254740991.5", "1" * 19, "1" * 400, "-" + "1" * 400)),
        with_value("0." + "0" * 400 + "1"),
        with_value("1" + "0" * 400 + "e-400"),
        # Timestamps.
        *map(
            with_ts,
            (
                "2026-01-01t23:59:59.123456789123z",
                "2026-01-01 00:00:00+00:00",
                "2026-01-01T00:00:00-23:59",
                "0000-02-29T00:00:00Z",
                "2000-02-29T00:00:00Z",
                "1900-02-29T00:00:00Z",
                "2024-02-30T00:00:00Z",
                "2026-04-31T00:00:00Z",
                "2026-00-01T00:00:00Z",
                "2026-13-01T00:00:00Z",
                "2026-01-00T00:00:00Z",
                "2026-01-01T24:00:00Z",
                "2026-01-01T00:60:00Z",
                "2026-01-01T00:00:60Z",
                "2026-01-01T23:59:60Z",
                "2026-01-01T22:59:60-01:00",
                "2026-01-01T00:59:60+01:00",
                "2026-01-01T23:59:60+01:00",
                "2026-01-01T23:59:61Z",
                "2026-01-01T00:00:00",
                "2026-01-01T00:00:00+0000",
                "2026-01-01T00:00:00+24:00",
                "2026-01-01T00:00:00+00:60",
                "2026-01-01T00:00:00.Z",
                "2026-01-01T00:00:00,5Z",
                "2026-1-01T00:00:00Z",
                "12026-01-01T00:00:00Z",
                "2026-01-01T00:00:00Z ",
                "2026-01-01T00:00:00Z\\n",
                "\u0662\u0660\u0662\u0666-01-01T00:00:00Z",
                "",
            ),
        ),
    ]
    yield from (text.encode() for text in texts)
    # Not UTF-8: a stray byte, an overlong form, a surrogate, a code point too large.
    for wrong in (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc3"):
        yield _GOOD.replace('"u"', '"?"').encode().replace(b"?", wrong)
        yield wrong


def _line_batches() -> Iterator[dict[str, Any]]:
    """Cut streams of lines by limits of every kind."""
    streams = (
        b"",
        b"\n",
        b"a\nbb\nccc\ndddd\n",
        b"a\r\nbb\r\n\r\nccc",
        b"long line\nb\nalso long\r\nc\n",
        b"12345678\r\n123456789\n12345678",
        b"\r\r\n\r",
        b"a\n\n\nb\n\n",
        b"\xff\xfe\n\x00\n",
    )
    limits = ((1, 1000), (2, 1000), (3, 6), (1000, 1), (1000, 5), (1000, 1000))
    for stream in streams:
        for records, size in limits:
            for max_records in (0, 2):
                batcher = LineBatcher(BatchLimits(records, size), 8, max_records)
                batches = [*batcher.feed(stream), *batcher.finish()]
                yield {
                    "stream": _base64(stream),
                    "max_line_bytes": 8,
                    "batch_records": records,
                    "batch_bytes": size,
                    "max_records": max_records,
                    "batches": list(map(_line_batch, batches)),
                }


def _line_batch(batch: LineBatch) -> dict[str, Any]:
    return asdict(batch) | {"text": _base64(batch.text)}


def _doubles() -> Iterator[float]:
    """Doubles where the rules for text differ between languages, and random ones."""
    yield from (0.0, -0.0, 1.0, -1.0, 0.1, 1 / 3, 100.0, 123456789.125)
    yield from (1e15, 1e16, 1e17, 9999999999999998.0, 123456789012345680.0)
    yield from (1e21, 1e22, 1e23, 1.5e300, 1e100, -1e16)
    yield from (0.001, 0.0001, 0.00012, 0.00001, 0.000012, 1e-6, 1e-7, 1e-10)
    yield from (5e-324, 2.2250738585072014e-308, 1.7976931348623157e308)
    yield from (2.0**53, 2.0**960, -(2.0**-960), 9007199254740993.0, 5e-05)
    source = _random(1)
    for _ in range(200):
        (value,) = struct.unpack("<d", source.randbytes(8))
        if math.isfinite(value):
            yield value
        yield source.uniform(-1e6, 1e6)


def _integers() -> Iterator[int]:
    for bits in (0, 1, 7, 8, 15, 16, 31, 32, 53, 63, 64, 65, 127, 128, 1000):
        for near in (-1, 0, 1):
            yield 2**bits + near
            yield -(2**bits) + near


def _averages() -> Iterator[tuple[int, int]]:
    yield from ((0, 1), (10, 4), (1637089, 29957), (-1, 3), (2, 3), (10**20, 7))
    yield from ((2**53, 1), (2**53 + 1, 1), (2**53 + 1, 2), (2**63, 3), (10**17, 10))
    source = _random(2)
    for _ in range(200):
        count = source.randrange(1, 10 ** source.randrange(1, 12))
        yield source.randrange(-(2**53) * count, 2**53 * count), count


def _scores() -> Iterator[Sequence[float]]:
    yield ()
    yield (0.0,)
    yield (0.1, 0.2, 0.3)
    yield (1e16, 1.0, -1e16)
    yield (2.0**960, 5e-324, -(2.0**960))
    yield (2.0**960,) * 5
    yield (1.0, 2.0**-53, 2.0**-54)
    source = _random(3)
    for length in (2, 10, 100):
        yield [source.uniform(-1e5, 1e5) for _ in range(length)]
        yield [source.uniform(-1, 1) * 2.0 ** source.randrange(-900, 900)] * length


def _totals(scores: Sequence[float]) -> dict[str, Any]:
    """Return the totals of final scores, which are the same in any grouping."""
    scores = list(scores)
    totals = totals_of(scores)
    half = len(scores) // 2
    assert merge(totals_of(scores[:half]), totals_of(scores[half:])) == totals
    total = exact_total(totals)
    return {
        "final_scores": [_bits(score) for score in scores],
        "totals": _base64(totals.SerializeToString(deterministic=True)),
        "total": repr(total.numerator / total.denominator),
    }


def _payloads() -> dict[str, list[Message]]:
    """Return some payloads of each workload's source; records are 1, 2, 3, …"""
    passing = [
        _GOOD.replace('"click"', f'"{type_}"').replace("1}", f"{value}}}").encode()
        for value in (9, 10, -10, 11.9, 123, 2**53)
        for type_ in ("click", "purchase", "view")
    ]
    lines = [*passing, *_lines(), b"", *passing]
    half = len(lines) // 2
    source = _random(4)
    return {
        "events": [
            Lines(first_record=1, text=_text(lines[:half])),
            Lines(
                first_record=half + 1,
                text=_text(lines[half:]),
                too_long=[at - half for at in (half + 1, lines.index(b"", half))],
            ),
            Lines(first_record=len(lines) + 1),
        ],
        "work-items": [
            _items(source, 1, [(0, 10), (1, 0), (2, 1), (3, 7), (5, 1500), (20, 50)]),
            _items(source, 7, [(4, 97 * number) for number in range(1, 13)]),
            _items(source, 19, [(5, 2048)] * 3 + [(1, 5), (2, 5), (1, 5)], edges=True),
            WorkItems(),
        ],
    }


def _random(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311


def _text(lines: Sequence[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def _items(
    source: random.Random,
    first_record: int,
    shapes: Sequence[tuple[int, int]],
    *,
    edges: bool = False,
) -> WorkItems:
    """Make items of the given sizes and iterations; with values at edges if asked."""
    items = WorkItems()
    for record, (size, iterations) in enumerate(shapes, first_record):
        items.record.append(record)
        items.id.append(record * 7)
        items.size.append(size)
        items.iterations.append(iterations)
        items.text.append(f"item {record}")
        items.first.extend(source.uniform(-10, 10) for _ in range(size))
        items.second.extend(source.uniform(-10, 10) for _ in range(size))
        items.matrix.extend(source.uniform(-10, 10) for _ in range(size * size))
    if edges:
        items.first[0] = float("nan")  # of the first item
        items.second[5] = float("inf")  # of the second
        items.matrix[50] = float("-inf")  # of the third
        items.first[-1], items.second[-1] = 0.0, -0.0
        items.first[-2] = 1e200
        items.matrix[-1] = 1e308
    return items


def _stages(workload: Workload, payloads: list[Message]) -> Iterator[dict[str, Any]]:
    """Return what each transform stage of a workload answers."""
    for sent in payloads:
        message = sent
        for stage in workload.transforms:
            output = stage(message)
            yield {
                "workload": workload.name,
                "stage": stage.name,
                "request": _any(message),
                "reply": _any(output.message),
                "records": output.records,
                "filtered": output.filtered,
                "rejections": [
                    {"record": one.record, "reason": one.reason, "field": one.field}
                    for one in output.rejections
                ],
            }
            message = output.message


def _result(workload: Workload, payloads: list[Message]) -> dict[str, Any]:
    """Return the payloads that a sink is sent, and the result that it publishes."""
    accumulator, text, sent = workload.new_result(), b"", []
    for payload in payloads:
        message = reduce(
            lambda one, stage: stage(one).message, workload.transforms, payload
        )
        sent.append(_any(message))
        text += accumulator.add(message)
    text += accumulator.finish()
    return {
        "workload": workload.name,
        "payloads": sent,
        "records": accumulator.records,
        "result": text.decode(),
    }


def _any(message: Message) -> str:
    batch = Batch()
    wire.pack(message, into=batch.payload)
    return _base64(batch.payload.SerializeToString(deterministic=True))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bits(value: float) -> str:
    return struct.pack(">d", value).hex()


def main() -> None:
    """Write every file."""
    for name, content in vectors().items():
        (FOLDER / f"{name}.json").write_text(encoded(content))


if __name__ == "__main__":
    main()
