"""The layout of charts with a row per name, above its marks so that it fits a phone."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from pytest_pipeline.report.charts.model import Axis, Label

#: Characters per line on a phone.
_COLUMNS = 44
#: Pixels of a line of text, and between rows.
_LINE, _GAP = 16, 8


class Rows:
    """The layout of a chart's rows, in pixels from its top.

    Args:
        names: Names of the rows. They are wrapped to at most three lines.
        room: Height of the marks below each name, in pixels.
    """

    def __init__(self, names: Sequence[str], *, room: int) -> None:
        labels: list[Label] = []
        #: The middle of each row's marks.
        self.middles: list[float] = []
        #: The top and bottom of each row's marks.
        self.spans: list[tuple[float, float]] = []
        top = _GAP
        for name in names:
            lines = tuple(wrapped(name, lines=3))
            labels.append(Label(top, lines))
            top += len(lines) * _LINE
            self.spans.append((top, top + room))
            self.middles.append(top + room / 2)
            top += room + _GAP
        self.labels = tuple(labels)
        self.height = top
        self.axis = Axis(top, 0, grid=False)


def wrapped(text: str, lines: int) -> list[str]:
    """Return text wrapped for a phone, cut after ``lines`` lines."""
    return textwrap.wrap(text, _COLUMNS, max_lines=lines, placeholder=" …")
