"""Files, pipes and standard input, as a source reads them."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path

import pytest

from pipeline.errors import SourceError
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


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file of ten bytes, made long ago."""
    path = tmp_path / "in"
    path.write_bytes(b"0123456789")
    os.utime(path, ns=(1, 1))
    return path


def truncate(path: Path) -> None:
    """Cut the file below what was read."""
    os.truncate(path, 2)


def shorten(path: Path) -> None:
    """Cut the file above what was read."""
    os.truncate(path, 8)


def replace(path: Path) -> None:
    """Put another file of the same content in its place."""
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    other.replace(path)


def write_over(path: Path) -> None:
    """Write other bytes into it."""
    with path.open("r+b") as file:
        file.write(b"9876543210")


def read_in_two(reader: ByteReader, change: Callable[[], None]) -> bytes:
    """Read five bytes, change the file, and read the rest."""
    head = reader.read(5)
    change()
    blocks = [head]
    while block := reader.read(5):
        blocks.append(block)
    return b"".join(blocks)


@pytest.mark.parametrize(
    ("change", "how"),
    [
        (truncate, "truncated"),
        (shorten, "truncated"),
        (replace, "replaced"),
        (Path.unlink, "removed"),
        (write_over, "written to"),
    ],
)
def test_a_file_that_changes_while_it_is_read_is_an_error(
    source: Path, change: Callable[[Path], None], how: str
) -> None:
    """The error says how it changed."""
    with (
        Inputs().open(str(source)) as reader,
        pytest.raises(SourceError, match=f"in was {how} while it was read"),
    ):
        read_in_two(reader, lambda: change(source))


@pytest.mark.parametrize("change", [truncate, write_over])
def test_a_file_that_is_standard_input_must_not_change_either(
    source: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    """It is left open, as standard input is."""
    with FileIO(str(source)) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        with (
            Inputs().open("-") as reader,
            pytest.raises(SourceError, match="standard input was"),
        ):
            read_in_two(reader, lambda: change(source))
        assert not stdin.closed
        os.fstat(stdin.fileno())


def test_a_file_that_grows_is_read_up_to_the_size_that_it_had(source: Path) -> None:
    """So a log that is written to all the time comes to an end."""

    def append() -> None:
        with source.open("ab") as file:
            file.write(b"more")

    with Inputs().open(str(source)) as reader:
        assert read_in_two(reader, append) == b"0123456789"


def test_a_named_pipe_without_a_writer_can_be_given_up(tmp_path: Path) -> None:
    """Opening it waits for nobody, and it ends when it is no longer wanted."""
    os.mkfifo(tmp_path / "pipe")
    wanted = iter([True, False])
    inputs = Inputs(is_wanted=lambda: next(wanted))

    with inputs.open(str(tmp_path / "pipe")) as reader:
        assert reader.read(10) == b""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it ends at once")
def test_a_named_pipe_waits_for_its_first_writer(tmp_path: Path) -> None:
    """It has not ended before somebody has written to it."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = Inputs().open(str(path))
    assert isinstance(reader, WaitingReader)
    with reader:
        assert reader.read_within(10, 0) is None
        with path.open("wb", buffering=0) as writer:
            writer.write(b"abc")
            assert reader.read_within(10, math.inf) == b"abc"
        assert reader.read_within(10, math.inf) == b""
