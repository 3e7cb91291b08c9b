"""The tables at the end of a test session."""

from __future__ import annotations

import pytest

from pytest_pipeline.measure.results import Measured
from pytest_pipeline.report.terminal import terminal_table
from tests.report.sessions import (
    batching,
    compared,
    comparisons,
    crossover,
    session,
)


@pytest.mark.parametrize("width", [80, 100, 120])
def test_lines_fit_the_width(width: int) -> None:
    """Long names are folded, numbers are not."""
    name = "test_" + "long" * 40
    long = [(name, Measured(group="comparisons", comparisons=[compared(2)]))]
    lines = terminal_table(session(batching(), comparisons(), long), width)

    assert max(map(len, lines)) <= width
    assert any("1,229,943" in line for line in lines)


def test_numbers_are_never_cut() -> None:
    """Lines become longer instead."""
    fast = batching(slower=1e-6)
    lines = terminal_table(session(fast), 80)
    (row,) = [line for line in lines if line.lstrip().startswith("100 ")]

    assert "173,097,000,000" in row
    assert "1,000,000,000,000" in row
    assert row.endswith(" 84%")


def test_a_row_has_all_results_of_a_batch_size() -> None:
    """Throughput of all variants, writes, bytes and IPC share."""
    lines = terminal_table(session(batching()), 100)
    (row,) = [line for line in lines if line.lstrip().startswith("100 ")]

    assert " ".join(row.split()) == (
        "100 173,097 −3 +3% 77 290,000 1,000,000 938,937 1,500 462 84%"
    )


def test_a_variant_that_was_not_measured_has_no_column() -> None:
    """Nor empty cells."""
    alone = [one for one in batching() if one[1].variant == "split"]
    text = "\n".join(terminal_table(session(alone), 100))

    assert "split/s" in text
    assert "monolith/s" not in text


def test_each_group_has_one_table() -> None:
    """Notes are not repeated either."""
    text = "\n".join(terminal_table(session(), 100))

    for title in (
        "events: throughput by batch size",
        "CPU-bound work: what batching gains",
        "mixed: throughput by batch size",
        "Replicas: throughput by number of servers",
        "Transports: throughput",
        "Latency: from when a record was due until it was done",
        "Comparisons",
        "monolith at 1: record by record",
    ):
        assert text.count(title) == 1


def test_each_verdict_has_a_sign() -> None:
    """A claim holds, is inconclusive, or does not hold."""
    lines = terminal_table(session(comparisons()), 120)

    verdicts = [line.rsplit("  ", 1)[1] for line in lines if "test_" in line]
    assert verdicts == ["✓ holds", "? inconclusive", "✗ does not hold"]


def test_the_crossover_names_comparison_and_claim() -> None:
    """CPU shares are of batch size 1, the gain is of larger batches."""
    made = crossover()[-1:]
    (row,) = [line for line in terminal_table(session(made), 100) if "291,000" in line]

    assert " ".join(row.split()) == (
        "291,000 91% batch size 100 1.06 1.02–1.10 (99%) 1.03 ? faster by 1.1"
    )


def test_the_default_width_is_that_of_the_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Within 80 and 100 columns."""
    for columns, width in ((90, 90), (40, 80), (300, 100)):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert terminal_table(session()) == terminal_table(session(), width)


def test_square_brackets_are_kept() -> None:
    """Rich would read them as markup."""
    name = "test_parse[red]"
    made = [(name, Measured(group="comparisons", comparisons=[compared(2)]))]

    assert any(name in line for line in terminal_table(session(made)))
