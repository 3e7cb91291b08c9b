"""The parts of a file of lines together have the batches of the whole file."""

from __future__ import annotations

import gzip
import os
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.batching import BatchLimits
from pipeline.errors import SourceError
from pipeline.inputs import Inputs
from pipeline.source import Part
from pipeline.stages import Output
from pipeline.v1.lines_pb2 import Lines, LineSource
from pipeline.workloads.line_parts import divide_lines, read_line_part
from pipeline.workloads.lines import line_source, read_lines

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
ANY_LIMITS = BatchLimits(records=3)


def parts(
    spec: LineSource, limits: BatchLimits = ANY_LIMITS, max_records: int = 0
) -> list[Part] | None:
    """Divide a file into as many parts as there can be."""
    return divide_lines(spec, limits, max_records, map, block_bytes=1, part_bytes=1)


def pieces() -> st.SearchStrategy[bytes]:
    """Contents of lines: short or empty, or what looks like the start of a file."""
    return st.binary(max_size=4) | st.sampled_from(
        [b"", b"\r", b"\x00", BYTE_ORDER_MARK, b"\x1f\x8b", b"x" * 30]
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(pieces(), max_size=30),
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
    st.booleans(),
    st.integers(1, 7),
    st.integers(1, 60) | st.just(1 << 20),
    st.integers(0, 20),
    st.integers(1, 12),
    st.integers(1, 60),
)
@example([b""] * 9, b"\n", True, False, 2, 5, 0, 1, 1)
@example([b"", b"", b"12345678", *[b""] * 5], b"\n", True, False, 2, 8, 0, 4, 1)
@example([b"", b"123", b"123456", b"1", *[b""] * 4], b"\n", True, False, 2, 8, 0, 4, 1)
@example([BYTE_ORDER_MARK], b"\n", False, False, 1, 9, 0, 1, 1)
def test_parts_have_the_batches_of_the_file(
    tmp_path: Path,
    lines: list[bytes],
    line_end: bytes,
    ended: bool,
    marked: bool,
    batch_records: int,
    batch_bytes: int,
    max_records: int,
    block_bytes: int,
    part_bytes: int,
) -> None:
    """Whatever the lines and their ends are, and however the file is cut."""
    path = tmp_path / "in"
    text = line_end.join(lines) + (line_end if ended else b"")
    path.write_bytes((BYTE_ORDER_MARK if marked else b"") + text)
    spec = line_source(path, max_line_bytes=20)
    limits = BatchLimits(batch_records, batch_bytes)

    found = divide_lines(
        spec, limits, max_records, map, block_bytes=block_bytes, part_bytes=part_bytes
    )

    # Compressed, or a batch may be cut by its bytes.
    if found is None:
        return
    expected = list(read_lines(spec, limits, max_records, Inputs()))
    outputs: list[Output[Lines]] = []
    for part in found:
        assert part.first_batch == len(outputs)
        assert part.first_record == 1 + sum(output.records for output in outputs)
        batches = list(read_line_part(spec, limits, part))
        assert part.records == sum(batch.records for batch in batches)
        outputs += batches
    assert outputs == expected


def test_a_file_becomes_many_parts_that_begin_where_batches_begin(
    tmp_path: Path,
) -> None:
    """Otherwise the test above might compare whole files with themselves."""
    path = tmp_path / "in"
    path.write_bytes(b"a line\n" * 20)

    found = parts(line_source(path))

    assert found is not None
    assert [part.first_record for part in found] == [1, 4, 7, 10, 13, 16, 19]
    assert [part.first_batch for part in found] == [0, 1, 2, 3, 4, 5, 6]


def test_a_file_with_a_batch_over_the_limit_of_bytes_is_not_divided(
    tmp_path: Path,
) -> None:
    """Wherever it is, the batches behind it begin elsewhere."""
    path = tmp_path / "in"
    limits = BatchLimits(records=2, bytes=40)
    divided = partial(divide_lines, block_bytes=4, part_bytes=1)

    path.write_bytes(b"a\n" * 100)
    assert divided(line_source(path), limits, 0, map) is not None
    path.write_bytes(b"a\n" * 100 + b"b" * 50 + b"\n" + b"a\n" * 100)
    assert divided(line_source(path), limits, 0, map) is None


def test_a_line_that_is_too_long_does_not_keep_a_file_from_being_divided(
    tmp_path: Path,
) -> None:
    """Its content is dropped, and so is no part of a batch."""
    path = tmp_path / "in"
    limits = BatchLimits(records=2, bytes=40)
    divided = partial(divide_lines, block_bytes=4, part_bytes=1)
    path.write_bytes(b"a\n" * 100 + b"b" * 50 + b"\n" + b"a\n" * 100)

    assert divided(line_source(path, 48), limits, 0, map) is not None
    assert divided(line_source(path, 49), limits, 0, map) is None


def test_a_part_may_begin_in_one_file_and_end_in_another(tmp_path: Path) -> None:
    """It begins where a batch of all lines begins."""
    paths = [tmp_path / name for name in ("a", "b", "c")]
    for path in paths:
        path.write_bytes(b"a line\n" * 4)

    found = parts(line_source(paths[0], more=paths[1:]))

    assert found is not None
    assert [part.first_record for part in found] == [1, 4, 7, 10]
    assert [len(part.where.files) for part in found] == [1, 2, 2, 1]


def test_a_compressed_file_among_others_is_a_part_of_its_own(tmp_path: Path) -> None:
    """It begins with its first batch, and ends with the batch of its last line."""
    paths = [tmp_path / name for name in ("a", "b", "c")]
    paths[0].write_bytes(b"a line\n" * 7)
    paths[1].write_bytes(gzip.compress(b"a line\n" * 20))
    paths[2].write_bytes(b"a line\n" * 7)

    found = parts(line_source(paths[0], more=paths[1:]))

    assert found is not None
    assert [part.first_record for part in found] == [1, 4, 7, 10, 28, 31, 34]
    assert [part.first_batch for part in found] == [0, 1, 2, 3, 9, 10, 11]


def test_one_compressed_file_and_what_is_no_file_is_not_divided(tmp_path: Path) -> None:
    """The driver reads it."""
    path = tmp_path / "in"
    path.write_bytes(gzip.compress(b"a line\n" * 20))
    assert parts(line_source(path)) is None
    os.mkfifo(tmp_path / "pipe")
    assert parts(line_source(path, more=[tmp_path / "pipe"])) is None
    assert parts(line_source(tmp_path / "pipe")) is None
    assert parts(line_source("-")) is None


@pytest.mark.parametrize("how", ["truncated", "written to", "replaced", "removed"])
def test_a_file_that_changes_after_it_was_divided_is_refused(
    tmp_path: Path, how: str
) -> None:
    """Its parts would not fit together."""
    path, other = tmp_path / "in", tmp_path / "other"
    path.write_bytes(b"a line\n" * 20)
    other.write_bytes(b"others\n" * 20)
    spec = line_source(path)
    found = parts(spec)
    assert found is not None
    if how == "truncated":
        os.truncate(path, 139)
    elif how == "written to":
        os.utime(path, ns=(1, 1))
    elif how == "replaced":
        other.replace(path)
    else:
        path.unlink()

    with pytest.raises(SourceError) as raised:
        list(read_line_part(spec, ANY_LIMITS, found[3]))

    expected = (
        f"can't read {path}: no such file or directory"
        if how == "removed"
        else f"{path} was {how} while it was read; run again when nothing changes it"
    )
    assert str(raised.value) == expected


def test_a_file_may_grow_after_it_was_divided(tmp_path: Path) -> None:
    """It is read up to the size that it had."""
    path = tmp_path / "in"
    path.write_bytes(b"a line\nanother")
    spec = line_source(path)
    found = parts(spec)
    with path.open("ab") as file:
        file.write(b", longer\nand more\n")

    assert found is not None
    (output,) = read_line_part(spec, ANY_LIMITS, found[0])
    assert output.message.text == b"a line\nanother\n"
