"""Charts with a row for each name: the name above its marks, for a phone's sake."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from html import escape

import plotly.graph_objects as go

from pytest_pipeline.report.palette import Palette

#: Characters that a line has room for on a phone.
_COLUMNS = 44


class Rows:
    """Where the rows of a chart lie; a unit of y is a line of text, and goes down.

    ``names`` are wrapped to at most ``lines``; below each is room for its marks, of
    ``room`` lines.
    """

    def __init__(self, names: Sequence[str], *, lines: int, room: float) -> None:
        self._labels = [wrapped(name, lines=lines) for name in names]
        self._tops = [0.0]
        #: In the middle of each row's marks.
        self.marks: list[float] = []
        #: From top to end of each row.
        self.spans: list[tuple[float, float]] = []
        for label in self._labels:
            tall = label.count("<br>") + 1 + room
            top = self._tops[-1]
            self.marks.append(top + tall - 0.6 * room)
            self.spans.append((top + tall - room, top + tall - 0.2 * room))
            self._tops.append(top + tall)

    @property
    def height(self) -> int:
        """The pixels of the chart."""
        return 150 + round(19 * self._tops[-1])

    def write(self, figure: go.Figure, palette: Palette) -> None:
        """Write the names, and make y the axis that they lie along."""
        for top, label in zip(self._tops, self._labels, strict=False):
            figure.add_annotation(
                xref="paper",
                x=0,
                xanchor="left",
                xshift=3,
                yref="y",
                y=top,
                yanchor="top",
                text=label,
                align="left",
                bgcolor=palette.paper,
                borderpad=0,
                showarrow=False,
            )
        figure.update_yaxes(
            range=[self._tops[-1], -0.3],
            showticklabels=False,
            showgrid=False,
            zeroline=False,
        )


def wrapped(text: str, lines: int) -> str:
    """Return text as markup of at most so many lines that a phone has room for."""
    found = textwrap.wrap(text, _COLUMNS, max_lines=lines, placeholder=" …")
    return "<br>".join(map(escape, found))
