"""Find the ends of lines, by `line_ends.c` if it was compiled with the package."""

from __future__ import annotations

import ctypes
from pathlib import Path

#: Where the build puts the library.
LIBRARY = Path(__file__).with_name("_line_ends.so")

# So few lines are found one by one.
_FEW = 16


class NativeLineEnds:
    """The machine code.

    Args:
        library: The compiled `line_ends.c`.

    Raises:
        OSError: It can't be loaded.
    """

    def __init__(self, library: Path) -> None:
        # Keeps the interpreter's lock, since a call takes microseconds.
        loaded = ctypes.PyDLL(str(library))
        text, integer = ctypes.c_char_p, ctypes.c_longlong
        found = ctypes.POINTER(integer)
        self._end_of_lines = loaded.end_of_lines
        self._end_of_lines.argtypes = (text, integer, integer, integer, found)
        self._count_objects = loaded.count_objects
        self._count_objects.argtypes = (text, integer)
        self._end_of_lines.restype = self._count_objects.restype = integer

    def end_of_lines(
        self, text: bytes, start: int, stop: int, lines: int
    ) -> tuple[int, int]:
        """Return what the function of this name does."""
        found = ctypes.c_longlong()
        end: int = self._end_of_lines(text, start, stop, lines, ctypes.byref(found))
        return end, found.value

    def count_objects(self, text: bytes) -> int:
        """Return what the function of this name does."""
        count: int = self._count_objects(text, len(text))
        return count


def native_line_ends(library: Path = LIBRARY) -> NativeLineEnds | None:
    """Return the machine code; None if there is none for this machine."""
    try:
        return NativeLineEnds(library)
    except OSError:
        return None


#: What the functions below use.
NATIVE = native_line_ends()


def end_of_lines(
    text: bytes, start: int, stop: int, lines: int, mean_bytes: int
) -> tuple[int, int]:
    """Return where the first lines of ``text[start:stop]`` end, and their number.

    That is ``lines``, or fewer if there are not as many. ``mean_bytes`` is about the
    length of a line.
    """
    if NATIVE is not None and lines > _FEW:
        return NATIVE.end_of_lines(text, start, stop, lines)
    # Lines are counted up to a little before where the last should end, and so on from
    # there: finding each line costs more than counting it, and counting it twice does,
    # too.
    end, left = start, lines
    while left > _FEW and end < stop:
        step = min(max(1, left * mean_bytes * 31 // 32), stop - end)
        while (found := text.count(b"\n", end, end + step)) > left:
            step = step * left // found
        end, left = end + step, left - found
    if left > _FEW or not left:
        return text.rfind(b"\n", start, end) + 1, lines - left
    while left and (found := text.find(b"\n", end, stop)) >= 0:
        end, left = found + 1, left - 1
    # The counting may have ended within a line.
    return text.rfind(b"\n", start, end) + 1, lines - left


def count_lines(text: bytes) -> int:
    """Return the number of lines that end in ``text``."""
    if NATIVE is None:
        return text.count(b"\n")
    return NATIVE.end_of_lines(text, 0, len(text), len(text))[1]


def count_objects(text: bytes) -> int:
    """Return the number of lines if each begins with { and ends with }, or else 0.

    It is 0 without machine code, too: it would take longer than it saves.
    """
    return 0 if NATIVE is None else NATIVE.count_objects(text)
