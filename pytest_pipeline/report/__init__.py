"""What benchmarks have measured, for people: a page, and a table for a terminal."""

from __future__ import annotations

from pytest_pipeline.report.page import render, write
from pytest_pipeline.report.reading import read_saved
from pytest_pipeline.report.terminal import terminal_table

__all__ = ["read_saved", "render", "terminal_table", "write"]
