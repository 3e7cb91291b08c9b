"""`pipeline tune`: its output, its runs, and its usage errors."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest
from click.testing import CliRunner

from pipeline.cli.tune import tune
from pipeline.cli.tune_output import (
    Tuning,
    findings,
    left_out,
    print_tuning,
    recommendation,
)
from pipeline.errors import PipelineError, SourceError, UsageError
from pipeline.transport import wire
from pipeline.transport.folders import ServedFolders
from pipeline.transport.server import StageServer
from pipeline.tuning.cost import fit
from pipeline.tuning.sweep import Plan
from pipeline.workloads.events import EVENTS
from pipeline.workloads.events.generate import generate_events

COMMAND = (sys.executable, "-m", "pipeline", "tune")
SIZES = (1, 10, 100, 1000, 10_000)
# More time than any of these runs takes, so that each has all the records there are.
WHOLE = ("--rounds", "3", "--seconds-per-run", "60")


def tuning(
    taken: Mapping[int, float],
    *,
    message_bytes: float = 100.0,
    too_few: tuple[int, ...] = (),
) -> Tuning:
    """Return the tuning from three equal rounds."""
    rounds = [taken] * 3
    return Tuning(
        workload="events",
        transport="unix",
        replicas={"parse": 2},
        seconds_per_run=0.3,
        plan=Plan(dict.fromkeys(taken, 200_000), too_few, 200_000, ()),
        rounds=rounds,
        message_bytes={size: message_bytes * size for size in taken},
        cost=fit(rounds),
    )


def sentences(about: Tuning) -> str:
    """Return the sentences below the curve."""
    cost = about.cost
    return "\n".join(
        (*findings(cost), *recommendation(cost, about.recommended_message_bytes))
    )


def costs(batch_s: float, record_s: float) -> dict[int, float]:
    """Return seconds per record by size, as the model has them."""
    return {size: record_s + batch_s / size for size in SIZES}


def test_tune_prints_the_costs_and_the_recommendation() -> None:
    """Costs have fitting units and intervals; the recommendation has a confidence."""
    said = sentences(tuning(costs(310e-6, 1.4e-6)))

    assert said.splitlines() == [
        (
            "A batch costs 310 µs (310–310), a record 1.40 µs (1.40–1.40); at batch "
            "size 1 messages are 99.6% of the time."
        ),
        "Use --batch-size 2000: within 10% of the best in 100% of resamples.",
        "Larger batches only add latency.",
        "Its largest messages have 195.3 KiB.",
    ]


def test_tune_says_if_batching_hardly_matters() -> None:
    """It recommends the smallest batches, and says how close they are to the best."""
    said = sentences(tuning(costs(400e-6, 11e-3)))

    assert "a record 11.0 ms" in said
    assert "Batching hardly matters here: size 1 is within 4% of the best.\n" in said
    assert "Use --batch-size 1:" in said


@pytest.mark.parametrize(
    ("factor", "how_much"), [(1.5, "more time"), (0.7, "less time")]
)
def test_a_poor_fit_is_reported_with_its_size_and_misfit(
    factor: float, how_much: str
) -> None:
    """The user is told to trust the measurement."""
    taken = costs(400e-6, 1e-6)
    taken[100] *= factor

    said = sentences(tuning(taken))

    assert "The fit is poor: at batch size 100 a record took" in said
    assert f"{how_much} than it says. Trust what was measured." in said


def test_larger_sizes_that_are_slower_are_reported() -> None:
    """They are not fitted, so the fit is not called poor."""
    taken = costs(400e-6, 1e-6)
    taken[10_000] = taken[1000] * 2

    said = sentences(tuning(taken))

    assert (
        "Past 1,000 it is slower again, and not fitted: 10,000 runs at 50% of the best."
    ) in said
    assert "poor" not in said
    # Batches still take a share of the time, but larger ones don't help.
    assert "Larger batches only add latency." in said


def test_larger_sizes_are_suggested_if_throughput_still_rises() -> None:
    """Tune does not say that larger batches only add latency."""
    said = sentences(tuning(costs(1.0, 1e-6)))

    assert "Use --batch-size 10000" in said
    assert "messages are still 99% of the time: try larger --sizes." in said
    assert "latency" not in said


def test_more_rounds_are_suggested_if_the_confidence_is_low() -> None:
    """Low is below 80 % of the resamples."""
    fast, slow = costs(400e-6, 1e-6), costs(400e-6, 1e-6)
    slow[1000] *= 0.7
    cost = fit([fast, fast, slow, slow])

    said = "\n".join(recommendation(cost, 100.0))

    assert cost.confidence < 0.8
    assert "of resamples. More --rounds would make it surer." in said


@pytest.mark.parametrize(
    ("record_bytes", "words"),
    [
        (524.0, "Its largest messages have 1,023.4 KiB."),
        (600.0, "Beware: its largest messages have 1.1 MiB."),
    ],
)
def test_messages_over_a_mebibyte_cause_a_warning(
    record_bytes: float, words: str
) -> None:
    """At a size that was not measured, bytes are scaled from the next larger one."""
    assert words in sentences(tuning(costs(310e-6, 1.4e-6), message_bytes=record_bytes))


def test_sizes_that_were_left_out_are_printed_with_the_reason() -> None:
    """The reasons are too few records and too long a run."""
    planned = Plan({}, too_few=(1000, 2000), available=5000, too_slow=(200, 500))

    assert list(left_out(planned, 0.3)) == [
        "There are 5,000 records, and a run needs 10 batches: left out 1,000, 2,000.",
        (
            "A run of 10 batches would take longer than 1.5 s: left out 200, 500. With "
            "more --seconds-per-run they fit."
        ),
    ]


def test_the_curve_has_one_row_a_size_and_marks_the_recommended_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bars grow with the throughput, and rows fit into 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    print_tuning(tuning(costs(310e-6, 5e-6), too_few=(50_000,)))

    printed = capsys.readouterr().out
    rows = [line for line in printed.splitlines() if "█" in line]
    assert [row.split()[0] for row in rows] == ["1", "10", "100", "1,000", "10,000"]
    lengths = [row.count("█") for row in rows]
    assert lengths == sorted(lengths)
    assert lengths[0] >= 1
    assert ["▶" in row for row in rows] == [False] * 3 + [True, False]
    assert max(map(len, printed.splitlines())) <= 80
    assert "left out 50,000" in printed


def test_a_narrow_terminal_shrinks_the_bars_and_cuts_no_number(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below the width of the numbers, lines wrap."""
    numbers = []
    for columns in ("120", "75", "30"):
        monkeypatch.setenv("COLUMNS", columns)
        print_tuning(tuning(costs(310e-6, 5e-6)))
        printed = capsys.readouterr().out
        rows = [line for line in printed.splitlines() if "█" in line]
        numbers.append([row.split()[:4] for row in rows])
        assert "…" not in printed

    assert numbers[0] == numbers[1] == numbers[2]
    assert len(numbers[0]) == len(SIZES)


def test_the_json_has_the_measurements_and_the_fit() -> None:
    """It has the raw rounds, so they can be fitted again."""
    taken = costs(310e-6, 1.4e-6)

    told = json.loads(tuning(taken, too_few=(50_000,)).to_json())

    assert told["recommended"] == 2000
    assert told["per_batch_s"]["value"] == pytest.approx(310e-6)
    assert told["left_out"] == {"too_few_records": [50_000], "too_slow": []}
    assert told["replicas"] == {"parse": 2}
    assert [point["batch_size"] for point in told["curve"]] == list(SIZES)
    assert told["curve"][1]["seconds_per_record"] == [taken[10]] * 3
    assert told["curve"][1]["message_bytes"] == 1000


def write_events(path: Path, count: int) -> Path:
    """Write ``count`` events to a file."""
    path.write_bytes(b"".join(generate_events(count, seed=1)))
    return path


def run_tune(
    *arguments: str | Path, **options: Any
) -> subprocess.CompletedProcess[bytes]:
    """Run the command to its end."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        check=False,
        timeout=60,
        **options,
    )


def test_tuning_a_file_prints_the_curve_and_writes_the_json(tmp_path: Path) -> None:
    """A size that needs more records than the file has is left out."""
    events = write_events(tmp_path / "events", 300)
    told = tmp_path / "told"

    done = run_tune(
        *(events.name, *WHOLE, "--sizes", "20,1,5,100", "--json", told.name),
        *("--replicas", "parse=2"),
        cwd=tmp_path,
    )

    assert (done.returncode, done.stderr) == (0, b"")
    printed = done.stdout.decode()
    assert "events: 3 batch sizes, 3 rounds." in printed
    assert "There are 300 records" in printed
    assert "Use --batch-size" in printed
    answer = json.loads(told.read_text())
    assert [point["batch_size"] for point in answer["curve"]] == [1, 5, 20]
    assert answer["left_out"]["too_few_records"] == [100]
    assert answer["recommended"] in {1, 2, 5, 10, 20}
    for point in answer["curve"]:
        assert point["records"] == 300
        assert len(point["seconds_per_record"]) == 3
        assert min(point["seconds_per_record"]) > 0
    assert {path.name for path in tmp_path.iterdir()} == {"events", "told"}


class Calls(grpc.ServerInterceptor):
    """Records the methods that a server is called for."""

    def __init__(self) -> None:
        self.methods: set[str] = set()

    def intercept_service(self, continuation: Any, details: Any) -> Any:
        """Record the method and let the call continue."""
        self.methods.add(details.method)
        return continuation(details)


def test_tune_uses_a_server_given_by_address(
    tmp_path: Path,
) -> None:
    """It counts as one of the replicas of its stage."""
    events = write_events(tmp_path / "events", 100)
    calls = Calls()
    parse = StageServer(
        *(EVENTS, "parse", f"unix:{tmp_path}/parse", ServedFolders([])),
        interceptors=[calls],
    )
    try:
        done = run_tune(
            *(events, *WHOLE, "--sizes", "1,10", "--replicas", "parse=2"),
            *("--stage", f"parse={parse.address}"),
        )
    finally:
        parse.stop_now()

    assert (done.returncode, done.stderr) == (0, b"")
    assert b"events: 2 batch sizes" in done.stdout
    assert wire.PROCESS in calls.methods


def test_a_workload_that_makes_its_records_needs_no_records_option() -> None:
    """It makes as many as the runs need."""
    done = run_tune(
        *("--workload", "work-items", "--payload-size", "small", "--iterations", "1"),
        *("--sizes", "1,2", "--rounds", "3", "--seconds-per-run", "0.2"),
    )

    assert (done.returncode, done.stderr) == (0, b"")
    assert b"work-items: 2 batch sizes, 3 rounds." in done.stdout


def test_the_records_option_limits_the_records_that_are_made() -> None:
    """A size that needs more is left out."""
    done = run_tune(
        *("--workload", "work-items", "--records", "100", "--iterations", "1"),
        *(*WHOLE, "--sizes", "1,5,20"),
    )

    assert done.returncode == 0
    assert b"There are 100 records" in done.stdout
    assert b"left out 20" in done.stdout


def test_tune_shows_the_current_step_on_a_terminal(tmp_path: Path) -> None:
    """Standard output has no trace of it."""
    events = write_events(tmp_path / "events", 300)
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen(
            [*COMMAND, events, *WHOLE, "--sizes", "1,20"],
            stdout=subprocess.PIPE,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm"},
        ) as process:
            os.close(theirs)
            shown = b""
            # Linux reports the end of a terminal as an error.
            try:
                while block := os.read(ours, 4096):
                    shown += block
            except OSError:
                pass
            out, _ = process.communicate(timeout=60)
    finally:
        os.close(ours)

    assert process.returncode == 0
    assert b"starting the stage servers" in shown
    assert b"round 3 of 3, batch size 20" in shown
    assert b"round" not in out.replace(b"3 rounds", b"")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["-"], UsageError, "IN -: is read once for each run"),
        ([], UsageError, "workload events needs IN"),
        (["in", "--workload", "nothing"], UsageError, "workload 'nothing': not known"),
        (["in", "--workload", "mixed"], UsageError, "IN: workload mixed takes none"),
        (["in", "--records", "5"], UsageError, "--records: workload events takes none"),
        (
            ["--workload", "work-items", "--records", "0"],
            SourceError,
            "the source holds no records",
        ),
        (["in", "--iterations", "5"], UsageError, "--iterations: workload events"),
        (["in", "--sizes", ""], UsageError, "--sizes '': must be whole numbers of 1"),
        (["in", "--sizes", "1,x"], UsageError, "--sizes '1,x': must be whole numbers"),
        (["in", "--sizes", "0,1"], UsageError, "--sizes '0,1': must be whole numbers"),
        (["in", "--sizes", "1,-2"], UsageError, "must be whole numbers of 1 or more"),
        (["in", "--sizes", "7"], UsageError, "--sizes '7': must be two or more"),
        (["in", "--sizes", "2,5,2"], UsageError, "--sizes '2,5,2': 2 is there twice"),
        (["in", "--rounds", "2"], UsageError, "--rounds 2: must be 3 or more"),
        (["in", "--seconds-per-run", "0"], UsageError, "--seconds-per-run 0.0: must"),
        (["in", "--seconds-per-run", "inf"], UsageError, "must be a finite number"),
        (["in", "--stage", "parse"], UsageError, "must be NAME=ADDRESS"),
        (["in", "--stage", "sink=unix:x"], UsageError, "--stage sink: tune reads IN"),
        (["in", "--stage", "ingest=unix:x"], UsageError, "of transform stages only"),
        (["in", "--replicas", "parse"], UsageError, "must be NAME=N"),
        (["in", "--replicas", "pares=2"], UsageError, "stage 'pares'"),
        (["in", "--replicas", "parse=0"], UsageError, "0 replicas asked for"),
        (["in", "--json", "in"], UsageError, "--json in: is the same file as IN"),
        (["in"], UsageError, "give smaller ones. There are 12 records"),
        (["empty"], SourceError, "the source holds no records"),
        (["missing"], SourceError, "missing: no such file"),
        (["in", "--json", "no/such"], PipelineError, "can't write no/such"),
    ],
)
def test_wrong_usage_is_one_line_of_error(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    error: type[PipelineError],
    message: str,
) -> None:
    """No file is left behind."""
    monkeypatch.chdir(tmp_path)
    write_events(Path("in"), 12)
    Path("empty").touch()

    result = CliRunner().invoke(tune, arguments)

    assert isinstance(result.exception, error)
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)
    assert result.output == ""
    assert {path.name for path in tmp_path.iterdir()} == {"in", "empty"}
