"""The command line: runs, the files they write, and what they print."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

from tests.cli.commands import COMMAND, FAILED, GOOD, SUCCESS, pipeline


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 1,000 events, 5 % of them malformed."""
    path = tmp_path_factory.mktemp("events") / "events.ndjson"
    made = pipeline("generate", path, "--events", "1000", "--malformed", "0.05")
    assert (made.returncode, made.stdout, made.stderr) == (SUCCESS, b"", b"")
    return path


def test_help_names_the_commands_and_the_exit_codes() -> None:
    """The top-level help lists every command."""
    shown = pipeline("--help").stdout.decode()

    for word in ("generate", "run", "demo", "tune", "serve", "Exit codes: 0 success"):
        assert word in shown


@pytest.mark.parametrize("engine", ["split", "monolith"])
def test_a_run_writes_result_rejects_and_report(
    events: Path, tmp_path: Path, engine: str
) -> None:
    """Their counts agree, standard error is empty, and the summary is printed."""
    out, rejects, report = (tmp_path / name for name in ("out", "rejects", "report"))
    done = pipeline(
        *("run", events, "--output", out, "--rejects", rejects, "--report", report),
        *("--engine", engine, "--batch-size", "100"),
    )
    assert (done.returncode, done.stderr) == (SUCCESS, b"")

    told = json.loads(report.read_text())
    records = told["records"]
    rejected = [json.loads(line) for line in rejects.read_text().splitlines()]
    totals = [json.loads(line) for line in out.read_text().splitlines()]
    assert (told["engine"], told["batch_size"], told["batches"]) == (engine, 100, 10)
    assert records["ingested"] == 1000
    assert records["rejected"] == len(rejected) == sum(told["rejections"].values()) > 0
    assert records["passed"] == sum(row["count"] for row in totals)
    assert records["rejected"] + records["filtered"] + records["passed"] == 1000
    assert told["stream_writes"] == (30 if engine == "split" else 0)
    assert "1,000 records" in done.stdout.decode()
    assert b"aggregate" in done.stdout


def test_a_dash_as_the_input_reads_standard_input(events: Path, tmp_path: Path) -> None:
    """Both engines have the same result as for a file."""
    data = events.read_bytes()
    runs: list[tuple[str, list[str], bytes]] = [
        ("file", [str(events)], b""),
        ("split", ["-"], data),
        ("monolith", ["-", "--engine", "monolith"], data),
    ]
    for name, arguments, stdin in runs:
        command: list[str | Path] = ["run", *arguments, "--output", tmp_path / name]
        done = pipeline(*command, stdin=stdin)
        assert (done.returncode, done.stderr) == (SUCCESS, b"")

    expected = (tmp_path / "file").read_bytes()
    assert (tmp_path / "split").read_bytes() == expected
    assert (tmp_path / "monolith").read_bytes() == expected


def test_a_file_of_one_line_can_be_run(tmp_path: Path) -> None:
    """The line may lack its end."""
    for name, text in [("with", GOOD), ("without", GOOD.rstrip())]:
        (tmp_path / name).write_text(text)
        done = pipeline("run", tmp_path / name, "--output", tmp_path / "out")

        assert (done.returncode, done.stderr) == (SUCCESS, b"")
        assert (tmp_path / "out").read_text() == (
            '{"key":"click","count":1,"sum":10,"avg":10.0}\n'
        )


def test_a_stage_given_by_address_is_used_and_left_running(
    events: Path, tmp_path: Path
) -> None:
    """The run starts the other four servers and has the same result."""
    pipeline("run", events, "--output", tmp_path / "expected")
    with subprocess.Popen(
        [*COMMAND, "serve", "rules"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as server:
        assert server.stdout is not None
        address = json.loads(server.stdout.readline())["address"]
        for _ in range(2):
            done = pipeline(
                *("run", events, "--output", tmp_path / "out"),
                *("--stage", f"rules={address}"),
            )
            assert (done.returncode, done.stderr) == (SUCCESS, b"")
            assert server.poll() is None
        server.terminate()
        server.communicate(timeout=30)

    assert (tmp_path / "out").read_bytes() == (tmp_path / "expected").read_bytes()
    assert server.returncode == SUCCESS


def test_a_stage_under_tls_is_reached_and_verified(
    events: Path, tmp_path: Path
) -> None:
    """The run succeeds with --tls-root and fails without it."""
    authority = trustme.CA()
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    root = tmp_path / "root.pem"
    authority.cert_pem.write_to_path(root)
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    with subprocess.Popen(
        [
            *(*COMMAND, "serve", "rules"),
            *("--tls-certificate", str(certificate), "--tls-key", str(key)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as server:
        assert server.stdout is not None
        address = json.loads(server.stdout.readline())["address"]
        command: list[str | Path] = ["run", events, "--output", tmp_path / "out"]
        command += ["--stage", f"rules={address}"]
        trusting = pipeline(*command, "--tls-root", root)
        plain = pipeline(*command)
        server.terminate()
        server.communicate(timeout=30)

    assert (trusting.returncode, trusting.stderr) == (SUCCESS, b"")
    assert plain.returncode == FAILED
    assert plain.stderr.startswith(b"pipeline: stage rules: nobody answers at")


def test_replicas_are_started_and_reported(events: Path, tmp_path: Path) -> None:
    """A server given by address counts as a replica; the result is the same."""
    report = tmp_path / "report"
    pipeline("run", events, "--output", tmp_path / "expected")
    with subprocess.Popen(
        [*COMMAND, "serve", "parse"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as server:
        assert server.stdout is not None
        address = json.loads(server.stdout.readline())["address"]
        done = pipeline(
            *("run", events, "--output", tmp_path / "out", "--report", report),
            *("--replicas", "parse=2,rules=3", "--stage", f"parse={address}"),
        )
        server.terminate()
        server.communicate(timeout=30)

    assert (done.returncode, done.stderr) == (SUCCESS, b"")
    assert (tmp_path / "out").read_bytes() == (tmp_path / "expected").read_bytes()
    stages = json.loads(report.read_text())["stages"]
    assert {name: stage["replicas"] for name, stage in stages.items()} == {
        "ingest": 1,
        "parse": 2,
        "rules": 3,
        "aggregate": 1,
        "sink": 1,
    }


def test_max_events_ends_a_run_early(events: Path, tmp_path: Path) -> None:
    """The result is that of a complete run over so many events."""
    report = tmp_path / "report"
    pipeline(
        *("run", events, "--output", tmp_path / "out", "--report", report),
        *("--max-events", "333"),
    )

    assert json.loads(report.read_text())["records"]["ingested"] == 333


def test_work_items_are_made_from_the_options(tmp_path: Path) -> None:
    """Both engines write one line an item in order, then the totals."""
    made = ("run", "--workload", "work-items", "--records", "30", "--seed", "3")
    options = ("--payload-size", "small", "--iterations", "10", "--batch-size", "7")
    files = [tmp_path / "split", tmp_path / "monolith"]

    for path in files:
        done = pipeline(*made, *options, "--output", path, "--engine", path.name)
        assert (done.returncode, done.stderr) == (SUCCESS, b"")

    split, monolith = (path.read_bytes() for path in files)
    assert split == monolith
    *items, summary = map(json.loads, split.splitlines())
    assert [item["id"] for item in items] == list(range(1, 31))
    assert summary["count"] == 30


@pytest.mark.parametrize(
    ("ratio", "events", "items"), [("0", 50, 0), ("0.3", 35, 15), ("1", 0, 50)]
)
def test_a_mixed_run_has_the_given_ratio_of_work_items(
    tmp_path: Path, ratio: str, events: int, items: int
) -> None:
    """`pipeline generate` with the same options has the same ratio."""
    made = ("--records", "50", "--work-ratio", ratio, "--payload-size", "small")
    report = tmp_path / "report"
    done = pipeline(
        *("run", "--workload", "mixed", *made, "--iterations", "10"),
        *("--output", tmp_path / "out", "--report", report),
    )
    file = tmp_path / "records.ndjson"
    pipeline("generate", file, "--workload", "mixed", *made)

    assert (done.returncode, done.stderr) == (SUCCESS, b"")
    counts = json.loads(report.read_text())["records"]
    assert counts["ingested"] == 50
    assert (tmp_path / "out").read_text().count('"id":') == items
    generated = file.read_text()
    assert generated.count('"user":') == events
    assert generated.count('"matrix":') == items


@pytest.mark.parametrize("engine", ["split", "monolith"])
def test_progress_is_shown_on_a_terminal_only(
    events: Path, tmp_path: Path, engine: str
) -> None:
    """The progress line is erased at the end."""
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [
            *(*COMMAND, "run", str(events), "--output", str(tmp_path / "out")),
            *("--engine", engine, "--batch-size", "10"),
        ],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
        check=False,
        timeout=60,
    )
    os.close(theirs)
    shown = b""
    # Linux reports the end of a terminal as an error.
    with suppress(OSError):
        while block := os.read(ours, 4096):
            shown += block
    os.close(ours)

    assert done.returncode == SUCCESS
    assert b"records, " in shown
    assert shown.endswith(b"\x1b[2K")


def test_the_demo_prints_both_tables_and_the_results() -> None:
    """Each batch size has a row with the exact number of stream writes."""
    done = pipeline("demo", "--events", "200", "--items", "5")
    light, work = done.stdout.decode().split("CPU-bound work")

    assert (done.returncode, done.stderr) == (SUCCESS, b"")
    rows = {words[0]: words for line in light.splitlines() if (words := line.split())}
    for batch_size, writes in [("1", 600), ("10", 60), ("50", 12), ("100", 6)]:
        assert rows[batch_size][6] == str(writes)
    assert rows["1,000"][6] == "3"
    # Each row ends with the seconds that have elapsed and those that are left.
    assert rows["1,000"][-3] == rows["1,000"][-1] == "s"
    lines = [line.split() for line in work.splitlines()]
    assert [line[0] for line in lines[3:9]] == ["1", "2", "3", "4", "5", "6"]
    assert lines[8][-2:] == ["0", "s"], "nothing is left after the last round"
    compared = [" ".join(line[:3]) for line in lines[11:16]]
    assert compared == ["1 × 1", "4 × 1", "8 × 1", "1 × 2", "4 × 2"]
    assert "same results, byte for byte" in light
    assert "All results are the same, byte for byte" in work


def test_the_demo_shows_one_scenario_if_asked() -> None:
    """The baseline is batch size 1 alone."""
    done = pipeline("demo", "baseline", "--events", "50")
    shown = done.stdout.decode()

    assert (done.returncode, done.stderr) == (SUCCESS, b"")
    rows = [line.split()[0] for line in shown.splitlines() if line[:10].strip()]
    assert "1" in rows
    assert "10" not in rows
    assert "CPU-bound" not in shown


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_can_complete_commands_and_options(
    shell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each shell reads a script first, which then asks for the completions."""
    monkeypatch.setenv("COMP_WORDS", "pipeline run --eng")
    # bash and zsh count the word to complete; fish passes it.
    monkeypatch.setenv("COMP_CWORD", "--eng" if shell == "fish" else "2")

    monkeypatch.setenv("_PIPELINE_COMPLETE", f"{shell}_source")
    assert f"{shell}_complete".encode() in pipeline().stdout
    monkeypatch.setenv("_PIPELINE_COMPLETE", f"{shell}_complete")
    assert b"--engine" in pipeline().stdout
