"""The outcome of all verdicts, as text and as files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_pipeline.gate.errors import GateUsageError
from pytest_pipeline.gate.summary import check_summary, write_summary
from pytest_pipeline.gate.text import markdown, terminal_lines
from pytest_pipeline.gate.verdict import GateVerdict
from pytest_pipeline.report.formatting import change
from tests.gate.results import found, result

FINE = "none slower by its threshold"
IMPROVED = f"ok: 2 benchmarks, {FINE}; improved: test_it[improved] +0.0 %"
OPEN = "inconclusive: test_it[inconclusive] +0.0 % (would have seen +8.0 %)"
APART = "no benchmark is in both revisions: test_it[new] (new), test_it[gone] (gone)"
NONE = "neither revision has a benchmark here; name files that have some"


@pytest.mark.parametrize(
    ("verdicts", "code", "line"),
    [
        (["ok", "ok"], 0, f"ok: 2 benchmarks, {FINE}"),
        (["ok", "improved"], 0, IMPROVED),
        (["ok", "new"], 0, f"ok: 1 benchmark, {FINE}"),
        (["ok", "skipped"], 0, f"ok: 1 benchmark, {FINE}"),
        (["ok", "regressed"], 1, "regressed: test_it[regressed] +0.0 %"),
        (["gone", "regressed"], 1, "regressed: test_it[regressed] +0.0 %"),
        (["inconclusive", "regressed"], 1, "regressed: test_it[regressed] +0.0 %"),
        (["ok", "inconclusive"], 6, OPEN),
        (["ok", "new", "gone"], 6, "inconclusive: test_it[gone] (gone)"),
        (["new", "gone"], 5, f"nothing measured: {APART}"),
        (["skipped"], 5, "nothing measured: 1 benchmark, all skipped"),
        ([], 5, f"nothing measured: {NONE}"),
    ],
)
def test_the_worst_verdict_is_the_outcome(
    verdicts: list[GateVerdict], code: int, line: str
) -> None:
    """It has an exit code and one line."""
    gate = found(*map(result, verdicts))

    assert (gate.exit_code, gate.line) == (code, line)


def test_the_outcome_names_three_benchmarks_at_most() -> None:
    """The table lists the others."""
    gate = found(*[result("regressed", f"test_{number}", 1.5) for number in range(5)])

    assert gate.line == (
        "regressed: test_0 +50.0 %, test_1 +50.0 %, test_2 +50.0 %, and 2 more"
    )


def test_the_table_has_a_row_per_benchmark() -> None:
    """The outcome is below it."""
    lines = terminal_lines(found(result("regressed", change=1.1), result("gone")))

    assert lines[0].split()[:2] == ["benchmark", "verdict"]
    assert " ".join(lines[2].split()) == (
        "test_it[regressed] regressed +10.0 % +8.0 % to +12.0 % +0.4 % +8.0 % 12/2"
    )
    assert lines[3].split()[-7:] == ["disk)", "gone", *"–––––"]
    assert lines[-1] == "gate: regressed: test_it[regressed] +10.0 %"


def test_without_benchmarks_there_is_no_table() -> None:
    """Only the line with the outcome."""
    assert len(terminal_lines(found())) == 1


def test_markdown_has_outcome_revisions_and_table() -> None:
    """A vertical bar in a name is escaped."""
    text = markdown(found(result("ok", "test_it[a|b]")))

    assert text.startswith("### ✅ Gate: ok\n\n1 benchmark, none slower")
    assert "Old: main (01234567). New: HEAD (89abcdef). It took 75 s." in text
    assert r"| `test_it[a\|b]` | ✅ ok | +0.0 % | -2.0 % to +2.0 % |" in text


def test_the_summary_is_three_files(tmp_path: Path) -> None:
    """The JSON has everything, including the times."""
    as_markdown, as_json, as_page = write_summary(
        found(result("ok")), tmp_path / "gate"
    )

    assert as_markdown == tmp_path / "gate.md"
    assert as_markdown.read_text().startswith("### ✅")
    saved = json.loads(as_json.read_text())
    assert saved["exit_code"] == 0
    assert saved["benchmarks"][0]["ratio"]["confidence"] == 0.99
    assert saved["benchmarks"][0]["floor"] == 1.004
    assert saved["benchmarks"][0]["sittings"] == 2
    assert saved["benchmarks"][0]["old_s"]["median"] == 0.002
    assert saved["benchmarks"][0]["new_s"]["q3"] == pytest.approx(0.0021)
    assert saved["conditions"]["new_versions"]["numpy"] == "2.4.6"
    assert as_page.read_text().startswith("<!doctype html>")


def summary_at(folder: Path, hindrance: str) -> Path:
    """Return the path of a summary, one of whose files can't be replaced."""
    path = folder / "gate"
    for suffix in (".md", ".json", ".html"):
        path.with_suffix(suffix).write_text("earlier")
    path.with_suffix(hindrance).unlink()
    path.with_suffix(hindrance).mkdir()
    return path


@pytest.mark.parametrize("suffix", [".md", ".json", ".html"])
def test_an_unwritable_summary_leaves_the_earlier_one(
    tmp_path: Path, suffix: str
) -> None:
    """All its files. The message names option and file, and no draft is left."""
    path = summary_at(tmp_path, suffix)

    with pytest.raises(GateUsageError) as refused:
        write_summary(found(result("ok")), path)

    assert str(refused.value) == (
        f"--pipeline-gate-summary {path}: can't write {path}{suffix}: it is a folder"
    )
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "gate.html",
        "gate.json",
        "gate.md",
    ]
    assert {file.read_text() for file in tmp_path.iterdir() if file.is_file()} == {
        "earlier"
    }


def test_an_unwritable_summary_is_refused_at_the_start(tmp_path: Path) -> None:
    """The check leaves no file behind."""
    with pytest.raises(GateUsageError, match=r"no/gate\.md: no such file"):
        check_summary(tmp_path / "no" / "gate")
    with pytest.raises(GateUsageError, match="it is a folder"):
        check_summary(summary_at(tmp_path, ".html"))

    other = tmp_path / "other"
    other.mkdir()
    check_summary(other / "gate")
    assert list(other.iterdir()) == []


@pytest.mark.parametrize(
    ("ratio", "text"), [(1.1, "+10.0 %"), (0.5, "-50.0 %"), (3.0, "+200 %")]
)
def test_a_ratio_is_formatted_as_a_change(ratio: float, text: str) -> None:
    """With a sign, and no decimals from 100 % on."""
    assert change(ratio) == text
