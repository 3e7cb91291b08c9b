"""Colours of the charts, for light and dark pages.

They are of the set by Okabe and Ito ("Color Universal Design", 2008), which people with
any kind of colour blindness can tell apart; markers, dashes and hatches say the same.
"""

from __future__ import annotations

from dataclasses import dataclass

BLUE, SKY, GREEN = "#0072B2", "#56B4E9", "#009E73"
ORANGE, VERMILLION, PURPLE = "#E69F00", "#D55E00", "#CC79A7"


@dataclass(frozen=True)
class Look:
    """A colour, and a hatch that plotly knows by a sign."""

    colour: str
    hatch: str


@dataclass(frozen=True)
class Palette:
    """What a chart is drawn in; backgrounds are those of the page."""

    text: str
    grid: str
    #: Behind hover texts.
    paper: str
    #: What is beside the point.
    muted: str
    #: Up to four series, told apart by brightness too.
    series: tuple[str, str, str, str]
    #: Of a stage's time, in the order of `phases.PHASES`.
    phases: tuple[Look, ...]


def _phases(wait: str, idle: str) -> tuple[Look, ...]:
    return (
        Look(SKY, "/"),
        Look(GREEN, ""),
        Look(ORANGE, "\\"),
        Look(VERMILLION, "x"),
        Look(wait, ""),
        Look(idle, "."),
    )


LIGHT = Palette(
    text="#1b1f24",
    grid="#d9dee4",
    paper="#ffffff",
    muted="#8a94a0",
    series=(BLUE, VERMILLION, GREEN, PURPLE),
    phases=_phases(wait="#d3d9e0", idle="#f4f6f8"),
)
DARK = Palette(
    text="#e6e9ed",
    grid="#343b45",
    paper="#1b2027",
    muted="#7d8895",
    series=(SKY, ORANGE, GREEN, PURPLE),
    phases=_phases(wait="#4a535f", idle="#22282f"),
)
