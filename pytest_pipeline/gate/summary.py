"""The verdicts in the terminal, as Markdown for a CI job, as JSON and as a page."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from pipeline.errors import SinkError
from pipeline.publishing import Draft
from pytest_pipeline.gate.errors import GateUsageError
from pytest_pipeline.gate.judging import Judged
from pytest_pipeline.gate.outcome import Gated
from pytest_pipeline.gate.percent import percent

#: What is said of each benchmark; the first two are words.
HEADS = ("benchmark", "verdict", "change", "interval", "A/A", "would see", "rounds")
_SIGNS = {
    "ok": "✅",
    "improved": "🚀",
    "regressed": "❌",
    "inconclusive": "❓",
    "gone": "❓",
    "new": "🆕",
    "skipped": "⏭️",
}
_SUFFIXES = (".md", ".json", ".html")
#: More columns than the table needs: a name is best found in one piece.
_ANY = 1000
#: How to read a verdict.
CLAIMED = (
    "A change is that of the time of one call. It is claimed where its whole interval "
    "lies beyond the threshold of the benchmark and the A/A floor, and new pairs of "
    "processes agree. Rounds are followed by how many pairs have run them."
)


def terminal_lines(found: Gated) -> list[str]:
    """Return the table, and how it all ended."""
    out = io.StringIO()
    console = Console(
        file=out, width=_ANY, color_system=None, highlight=False, legacy_windows=False
    )
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for number, head in enumerate(HEADS):
        table.add_column(head, justify="left" if number < 2 else "right", no_wrap=True)
    for judged in found.benchmarks:
        # What is in brackets is no mark-up.
        table.add_row(*(cell.replace("[", r"\[") for cell in cells(judged)))
    if found.benchmarks:
        console.print(table)
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    return [*(line for line in lines if line), f"gate: {found.line}"]


def markdown(found: Gated) -> str:
    """Return what a CI job can post."""
    sign = {"ok": "✅", "regressed": "❌"}.get(found.outcome, "❓")
    lines = [
        f"### {sign} Gate: {found.outcome}",
        "",
        found.line[len(found.outcome) + 2 :].replace("|", r"\|"),
        "",
        f"Old: {found.old}. New: {found.new}. It took {found.seconds:.0f} s.",
    ]
    if found.benchmarks:
        lines += ["", _row(HEADS), _row(["---", "---", *["---:"] * 5])]
        lines += [_row(_marked(judged)) for judged in found.benchmarks]
        lines += [
            "",
            CLAIMED,
        ]
    return "\n".join(lines) + "\n"


def check_summary(path: Path) -> None:
    """See that the summary can be written, before minutes are spent on it.

    Raises GateUsageError where it can't.
    """
    if find_spec("plotly") is None:
        raise GateUsageError(
            f"--pipeline-gate-summary {path}: needs plotly; "
            f"pip install 'pytest-grpc-pipeline[test]'"
        )
    with ExitStack() as stack:
        _drafts(path, stack)


def write_summary(found: Gated, path: Path) -> list[Path]:
    """Write ``path``.md, ``path``.json and ``path``.html, and return their paths.

    Raises GateUsageError where one can't be written; all are then as they were.
    """
    # Only here, since plotly is slow to import.
    from pytest_pipeline.gate.page import page_of
    from pytest_pipeline.report.document import document

    written = (
        markdown(found).encode(),
        msgspec.json.format(msgspec.json.encode(found)) + b"\n",
        document(page_of(found)).encode(),
    )
    with ExitStack() as stack:
        drafts = _drafts(path, stack)
        try:
            for draft, data in zip(drafts, written, strict=True):
                draft.write(data)
                draft.seal()
            for draft in drafts:
                draft.publish()
        except SinkError as error:
            raise _refused(path, error) from error
    return [draft.path for draft in drafts]


def _drafts(path: Path, stack: ExitStack) -> list[Draft]:
    """Return a draft of each file, to be discarded with the stack."""
    try:
        return [
            stack.enter_context(Draft(path.with_name(path.name + suffix)))
            for suffix in _SUFFIXES
        ]
    except SinkError as error:
        raise _refused(path, error) from error


def _refused(path: Path, error: SinkError) -> GateUsageError:
    return GateUsageError(f"--pipeline-gate-summary {path}: {error}")


def _marked(judged: Judged) -> list[str]:
    name, verdict, *others = (cell.replace("|", r"\|") for cell in cells(judged))
    return [f"`{name}`", f"{_SIGNS[judged.verdict]} {verdict}", *others]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def cells(judged: Judged) -> list[str]:
    """Return what is said of a benchmark, one text for each head."""
    if judged.ratio is None or judged.floor is None or judged.could_see is None:
        note = f" ({judged.note})" if judged.note.startswith("skipped") else ""
        return [f"{judged.name}{note}", judged.verdict, *["–"] * 5]
    ratio = judged.ratio
    return [
        judged.name,
        judged.verdict,
        percent(ratio.value),
        f"{percent(ratio.low)} to {percent(ratio.high)}",
        percent(judged.floor),
        percent(1 + judged.could_see),
        f"{judged.rounds}/{judged.sittings}",
    ]
