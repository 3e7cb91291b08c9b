"""Several files, and the one file that a run over them must be equal to."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from pipeline.engines.base import RunSettings
from pipeline.inputs import joined_paths
from pipeline.workloads.lines import line_source
from pytest_pipeline import strategies

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Wrapper = Callable[[bytes], bytes]


def cut_files() -> st.SearchStrategy[list[bytes]]:
    """Generate files: whole ones, and pieces of one that was cut anywhere."""
    return strategies.evenly(
        st.lists(strategies.event_files(300), min_size=1, max_size=4),
        st.builds(pieces, strategies.event_files(300), st.lists(st.integers(0, 2000))),
    )


def pieces(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    """Cut data at the given offsets. Equal ones leave an empty piece."""
    ends = sorted(min(cut, len(data)) for cut in cuts)
    return [
        data[start:end]
        for start, end in zip([0, *ends], [*ends, len(data)], strict=True)
    ]


def one_file(files: Sequence[bytes]) -> bytes:
    """Return one file with the lines of all files: each file ends its last line."""
    # A mark of its own, since the first line of the first file may look like one.
    return BYTE_ORDER_MARK + b"".join(
        text if not text or text.endswith(b"\n") else text + b"\n"
        for text in (data.removeprefix(BYTE_ORDER_MARK) for data in files)
    )


def wrappers() -> st.SearchStrategy[list[Wrapper]]:
    """Generate what compresses the files of a run, or leaves them as they are."""
    all_: list[Wrapper] = [bytes, gzip.compress, bz2.compress, lzma.compress]
    return st.lists(st.sampled_from(all_), min_size=1, max_size=4)


def over_files(
    run: RunSettings,
    folder: Path,
    files: Sequence[bytes],
    wrappers: Iterable[Wrapper] = (bytes,),
) -> RunSettings:
    """Write files; return the run over them instead of its own input.

    Args:
        run: A run over a file of lines.
        folder: Where they are written.
        files: The content of each.
        wrappers: Compress the files in turn.
    """
    paths = [folder / f"{number}.ndjson" for number in range(len(files))]
    for path, data, wrap in zip(paths, files, cycle(wrappers), strict=False):
        path.write_bytes(wrap(data))
    source: Any = run.source
    first, *more = map(str, paths)
    return replace(
        run,
        source=line_source(first, source.max_line_bytes, more),
        input=joined_paths([first, *more]),
    )
