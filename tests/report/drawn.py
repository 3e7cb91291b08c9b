"""Read the charts of a page: their data, and their SVG."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from pytest_pipeline.report.charts.model import Bar, Chart, Series
from pytest_pipeline.report.page import Page

_CHART = re.compile(r'<div class="chart".*?(?=\n</figure>)', re.DOTALL)


def charts_of(page: Page) -> list[Chart]:
    """Return the charts of a page in reading order."""
    return [chart for section in page.sections for chart in section.charts]


def series_of(chart: Chart) -> dict[str, Series]:
    """Return the series of a chart by their names."""
    return {mark.name: mark for mark in marks_of(chart) if isinstance(mark, Series)}


def bars_of(chart: Chart) -> list[Bar]:
    """Return the bars of a chart."""
    return [mark for mark in marks_of(chart) if isinstance(mark, Bar)]


def marks_of(chart: Chart) -> Iterator[object]:
    """Yield the marks of all panels."""
    for panel in chart.panels:
        yield from panel.marks


@dataclass(frozen=True)
class Drawn:
    """The SVG of a chart."""

    root: ET.Element

    def of_class(self, name: str) -> list[ET.Element]:
        """Return the elements of a class of the style sheet."""
        return [
            element
            for element in self.root.iter()
            if name in element.get("class", "").split()
        ]

    def series(self, name: str) -> ET.Element:
        """Return the group of a series."""
        (found,) = (
            group for group in self.of_class("series") if group.get("data-name") == name
        )
        return found

    @property
    def legend(self) -> list[str]:
        """The names in the legend."""
        return ["".join(item.itertext()) for item in self.root.iter("li")]

    @property
    def tooltips(self) -> list[str]:
        """The tooltips, in order."""
        return [title.text or "" for title in self.root.iter("title")]

    @property
    def texts(self) -> list[str]:
        """The texts, in order."""
        return [text.text or "" for text in self.root.iter("text")]


def drawn(html: str) -> list[Drawn]:
    """Return the drawn charts of a page, which are well-formed XML."""
    return [Drawn(ET.fromstring(found)) for found in _CHART.findall(html)]  # noqa: S314
