"""Standard input, from a pipe, as a source reads it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import pytest

from pipeline.inputs import Inputs
from pipeline.source import ByteReader, WaitingReader


@pytest.fixture
def writer(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileIO]:
    """The other end of standard input."""
    ours, theirs = os.pipe()
    with FileIO(ours) as stdin, FileIO(theirs, "w") as writer:
        monkeypatch.setattr("sys.stdin", stdin)
        yield writer


def opened(inputs: Inputs) -> WaitingReader:
    """Open standard input."""
    reader = inputs.open("-")
    assert isinstance(reader, WaitingReader)
    return reader


def test_nothing_yet_is_told_from_the_end(writer: FileIO) -> None:
    """None for the one, no bytes for the other; and what is there is there at once."""
    with opened(Inputs()) as reader:
        assert reader.read_within(10, 0) is None
        writer.write(b"abc")
        assert reader.read_within(2, math.inf) == b"ab"
        assert reader.read_within(10, 0) == b"c"
        assert reader.read_within(10, 0) is None
        writer.close()
        assert reader.read_within(10, math.inf) == b""


def test_a_source_that_does_not_ask_for_the_time_reads_as_from_a_file(
    writer: FileIO,
) -> None:
    """Plain ``read`` gives bytes, and none at the end."""
    reader: ByteReader = opened(Inputs())
    with reader:
        writer.write(b"abc")
        assert reader.read(2) == b"ab"
        writer.close()
        assert (reader.read(10), reader.read(10)) == (b"c", b"")


def test_a_plain_read_waits_for_bytes(writer: FileIO) -> None:
    """However often there is nothing yet, it is no end."""
    answers = iter([b"", b"", b"abc"])

    def is_wanted() -> bool:
        # Asked while there is nothing to read.
        writer.write(next(answers))
        return True

    with opened(Inputs(is_wanted=is_wanted)) as reader:
        assert reader.read(10) == b"abc"


@pytest.mark.usefixtures("writer")
def test_standard_input_ends_where_nobody_wants_it() -> None:
    """Though it is open, and whichever way it is read."""
    with opened(Inputs(is_wanted=lambda: False)) as reader:
        assert reader.read_within(10, 0) == b""
        assert reader.read(10) == b""


@pytest.mark.usefixtures("writer")
def test_waiting_in_vain_is_accounted_as_waiting() -> None:
    """Once, for whoever asks next."""
    inputs = Inputs()
    with opened(inputs) as reader:
        reader.read_within(10, 0)

    assert inputs.take_waited_ns() > 0
    assert inputs.take_waited_ns() == 0


def test_a_file_is_no_reader_that_waits(tmp_path: Path) -> None:
    """It has nothing to wait for."""
    (tmp_path / "in").write_bytes(b"abc")

    with Inputs().open(str(tmp_path / "in")) as reader:
        assert not isinstance(reader, WaitingReader)
        assert (reader.read(10), reader.read(10)) == (b"abc", b"")
