"""The files of a gate's summary, written together: Markdown, JSON and a page."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import msgspec

from pipeline.errors import SinkError
from pipeline.publishing import Draft
from pytest_pipeline.gate.errors import GateUsageError
from pytest_pipeline.gate.outcome import GateResult
from pytest_pipeline.gate.page import page_of
from pytest_pipeline.gate.text import markdown
from pytest_pipeline.report.page import page_html

_SUFFIXES = (".md", ".json", ".html")


def check_summary(path: Path) -> None:
    """Check that the summary can be written, before minutes are spent on it.

    Raises:
        GateUsageError: One of its files can't be written.
    """
    with ExitStack() as stack:
        _drafts(path, stack)


def write_summary(found: GateResult, path: Path) -> list[Path]:
    """Write ``path``.md, ``path``.json and ``path``.html, and return their paths.

    Raises:
        GateUsageError: A file can't be written. No file has changed then.
    """
    written = (
        markdown(found).encode(),
        msgspec.json.format(msgspec.json.encode(found)) + b"\n",
        page_html(page_of(found)).encode(),
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
    """Return a draft of each file, which the stack discards."""
    try:
        return [
            stack.enter_context(Draft(path.with_name(path.name + suffix)))
            for suffix in _SUFFIXES
        ]
    except SinkError as error:
        raise _refused(path, error) from error


def _refused(path: Path, error: SinkError) -> GateUsageError:
    return GateUsageError(f"--pipeline-gate-summary {path}: {error}")
