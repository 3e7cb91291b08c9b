"""The ends of lines are the same in machine code and in Python."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline import line_ends
from pipeline.line_ends import NativeLineEnds, native_line_ends

texts = st.lists(st.sampled_from([b"\n", b"{", b"}", b"\0", b"longer"])).map(b"".join)


@given(
    text=texts,
    start=st.integers(0, 50),
    stop=st.integers(0, 200),
    lines=st.integers(1, 40),
    mean_bytes=st.integers(1, 20),
)
@example(text=b"\n" * 40, start=3, stop=38, lines=30, mean_bytes=1)
def test_the_first_lines_end_where_python_finds_it(
    line_ends_in_c: NativeLineEnds,
    text: bytes,
    start: int,
    stop: int,
    lines: int,
    mean_bytes: int,
) -> None:
    """Whatever their mean length, and however few there are."""
    stop = min(stop, len(text))
    start = min(start, stop)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_ends, "NATIVE", None)
        end, found = line_ends.end_of_lines(text, start, stop, lines, mean_bytes)

    compiled = line_ends_in_c.end_of_lines(text, start, stop, lines)

    # Where none ends, nobody asks for the place.
    assert compiled == (end if found else start, found)


@given(text=texts)
def test_lines_are_counted_as_python_counts_them(
    line_ends_in_c: NativeLineEnds, text: bytes
) -> None:
    """Each LF ends one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_ends, "NATIVE", line_ends_in_c)

        assert line_ends.count_lines(text) == text.count(b"\n")


@given(text=texts | st.lists(st.sampled_from([b"{}\n", b"{1}\n"])).map(b"".join))
@example(text=b"{}\n{\n}\n")
@example(text=b"{}\n}")
def test_objects_are_counted_where_every_line_may_be_one(
    line_ends_in_c: NativeLineEnds, text: bytes
) -> None:
    """A line that begins or ends otherwise, or does not end, is none."""
    lines = text.split(b"\n")
    may_be = not lines.pop() and all(
        line.startswith(b"{") and line.endswith(b"}") for line in lines
    )

    assert line_ends_in_c.count_objects(text) == (len(lines) if may_be else 0)


def test_without_a_library_python_finds_the_ends(tmp_path: Path) -> None:
    """A wheel of pure Python has none, and one for another machine can't be loaded."""
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"of another machine")

    assert native_line_ends(tmp_path / "missing.so") is None
    assert native_line_ends(broken) is None
