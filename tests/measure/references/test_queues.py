"""The queues give the results of the monolith, and leave no process or file."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.batching import BatchLimits
from pipeline.engines.base import Engine, RunSettings
from pipeline.engines.monolith import MonolithEngine
from pipeline.errors import (
    ContractError,
    FunctionError,
    PipelineError,
    SinkError,
    SourceError,
    StageError,
    UsageError,
)
from pipeline.stages import Output, stage
from pipeline.v1.events_pb2 import Events
from pipeline.v1.lines_pb2 import Lines
from pipeline.workload import Workload
from pipeline.workloads import workload_named
from pipeline.workloads.events import EVENTS
from pipeline.workloads.events.parse import parse
from pytest_pipeline.measure.references.queues import QueuesEngine
from tests.measure.references.conftest import EACH_WORKLOAD, SettingsOf


def dies(lines: Lines) -> Output[Events]:
    """Kill the process at record 101, with batches queued behind it."""
    if lines.first_record > 100:
        os.kill(os.getpid(), signal.SIGKILL)
    return parse(lines)


def raises(lines: Lines) -> Output[Events]:
    """Fail from record 101 on."""
    if lines.first_record > 100:
        raise ZeroDivisionError("no luck")
    return parse(lines)


def miscounts(lines: Lines) -> Output[Events]:
    """Account for one record more than there are."""
    output = parse(lines)
    return replace(output, filtered=output.filtered + 1)


def with_parse(function: Any) -> Workload:
    """Return the events workload with another parse stage."""
    first, *others = EVENTS.transforms
    return replace(EVENTS, transforms=(stage(function, first.name), *others))


DYING = with_parse(dies)
RAISING = with_parse(raises)
MISCOUNTING = with_parse(miscounts)


def outcome(engine: Engine, run: RunSettings) -> Any:
    """Return what must not depend on the engine."""
    report = engine.run(run)
    assert run.rejects is not None
    found = run.output.read_bytes(), run.rejects.read_bytes()
    run.output.unlink()
    run.rejects.unlink()
    return found, report.batches, report.records, report.rejections


def processes() -> list[psutil.Process]:
    """Return the children of this process, except the tracker of multiprocessing."""
    return [
        process
        for process in psutil.Process().children(recursive=True)
        if "multiprocessing.resource_tracker" not in " ".join(process.cmdline())
    ]


@EACH_WORKLOAD
def test_queues_give_the_results_of_the_monolith(
    settings_of: SettingsOf, workload: str
) -> None:
    """Result, rejects and counts are equal at each batch size."""
    with QueuesEngine(workload_named(workload)) as engine:
        for batch_size in (1, 60, 1000):
            run = settings_of(workload, batch_size)
            expected = outcome(MonolithEngine(), run)

            assert outcome(engine, run) == expected


def test_more_batches_than_the_queues_hold_pass(settings_of: SettingsOf) -> None:
    """The same processes run again, up to a maximum of records."""
    run = replace(settings_of("events", 1, records=900), max_records=800)
    expected = outcome(MonolithEngine(), run)

    with QueuesEngine(EVENTS) as engine:
        before = engine.pids
        assert outcome(engine, run) == expected
        assert outcome(engine, run) == expected
        assert engine.pids == before


def test_the_report_has_the_time_of_each_stage(settings_of: SettingsOf) -> None:
    """It has the CPU of stage functions and of processes, and so the IPC share."""
    settled: list[int] = []
    run = replace(settings_of("events", 10), on_progress=settled.append)

    with QueuesEngine(EVENTS) as engine:
        report = engine.run(run)

    assert (report.engine, report.workload, report.batch_size) == (
        "queues",
        "events",
        10,
    )
    assert 0 < report.ipc_share < 1
    assert report.startup_s > 0
    assert report.throughput_per_s == 250 / report.elapsed_s
    assert report.stream_writes == 0
    assert settled == [250]
    for name in EVENTS.stage_names:
        account = report.stages[name]
        assert 0 < account.cpu_seconds.process < account.cpu_s
        assert account.peak_rss_bytes > 1024 * 1024


def test_leaving_the_block_ends_every_process() -> None:
    """There is one process for each stage until then."""
    before = processes()

    with QueuesEngine(EVENTS) as engine:
        assert list(engine.pids) == list(EVENTS.stage_names)
        assert len(processes()) == len(before) + 5

    assert processes() == before
    assert engine.pids == {}


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"workload": "RAISING"}, FunctionError),
        ({"workload": "MISCOUNTING"}, ContractError),
        ({"source": "missing"}, SourceError),
        ({"output": "missing/result"}, SinkError),
        ({"max_records": 0, "source": "empty"}, SourceError),
    ],
)
def test_a_run_fails_with_the_error_of_the_monolith(
    settings_of: SettingsOf,
    tmp_path: Path,
    changes: dict[str, Any],
    error: type[PipelineError],
) -> None:
    """The message is the same, and no file and no process is left."""
    before = processes()
    run = settings_of("events", 100)
    if name := changes.get("workload"):
        run = replace(run, workload=workload_named(f"{__name__}:{name}"))
    if name := changes.get("source"):
        (tmp_path / "empty").touch()
        source = type(run.source)(path=str(tmp_path / name), max_line_bytes=1000)
        run = replace(run, source=source)
    if name := changes.get("output"):
        run = replace(run, output=tmp_path / name)
    with pytest.raises(error) as expected:
        MonolithEngine().run(run)
    files = sorted(tmp_path.iterdir())

    with QueuesEngine(run.workload) as engine:
        with pytest.raises(error) as found:
            engine.run(run)

        assert processes() == before
        with pytest.raises(UsageError, match="no processes"):
            engine.run(run)

    assert str(found.value) == str(expected.value)
    assert sorted(tmp_path.iterdir()) == files
    if isinstance(found.value, FunctionError):
        assert isinstance(expected.value, FunctionError)
        assert found.value.traceback == expected.value.traceback


def test_a_process_that_dies_ends_the_run(
    settings_of: SettingsOf, tmp_path: Path
) -> None:
    """The error names its stage, and no file and no process is left."""
    before = processes()
    run = settings_of("events", 1)
    run = replace(run, workload=workload_named(f"{__name__}:DYING"))
    files = sorted(tmp_path.iterdir())

    with (
        QueuesEngine(run.workload) as engine,
        pytest.raises(
            StageError, match=r"^stage parse is lost: its process was ended by SIGKILL$"
        ),
    ):
        engine.run(run)

    assert processes() == before
    assert sorted(tmp_path.iterdir()) == files


@pytest.mark.parametrize("name", ["ingest", "sink"])
def test_ingest_and_sink_are_watched_too(settings_of: SettingsOf, name: str) -> None:
    """Ingest and sink have connections to the engine instead of queues."""
    with QueuesEngine(EVENTS) as engine:
        pid = engine.pids[name]
        assert pid is not None
        os.kill(pid, signal.SIGKILL)

        with pytest.raises(StageError, match=f"^stage {name} is lost: .* SIGKILL$"):
            engine.run(settings_of("events", 1))


def test_the_processes_end_with_the_process_of_the_engine(tmp_path: Path) -> None:
    """They end even if both the engine and ingest are killed."""
    code = """
import os, signal
from pipeline.workloads.events import EVENTS
from pytest_pipeline.measure.references.queues import QueuesEngine
with QueuesEngine(EVENTS) as engine:
    print(*engine.pids.values(), flush=True)
    os.kill(engine.pids["ingest"], signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    # Not a pipe, which the stage processes would inherit and hold open.
    with (tmp_path / "pids").open("w") as file:
        subprocess.run([sys.executable, "-c", code], stdout=file, check=False)

    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 5
    left = []
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            left.append(psutil.Process(pid))
    alive = psutil.wait_procs(left, timeout=20)[1]
    for process in alive:
        process.kill()
    assert alive == []


def test_a_process_that_does_not_start_is_an_error(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The process prints the reason itself."""
    before = processes()
    engine = QueuesEngine(replace(EVENTS, name="no.such:workload"))

    with pytest.raises(StageError, match="its process ended with exit code 1"), engine:
        raise AssertionError

    assert processes() == before
    assert "no.such:workload" in capfd.readouterr().err


def test_processes_that_are_too_slow_to_start_are_ended() -> None:
    """A start that times out is an error."""
    before = processes()
    engine = QueuesEngine(EVENTS, start_timeout_s=0.0)

    with pytest.raises(StageError, match="did not start within 0 s"), engine:
        raise AssertionError

    assert processes() == before


def test_runs_that_the_queues_can_not_do_are_refused(settings_of: SettingsOf) -> None:
    """Another workload, standard input, or a workload without a name is an error."""
    run = settings_of("events", 10)

    with pytest.raises(UsageError, match="has no name"):
        QueuesEngine(replace(EVENTS, name=""))
    engine = QueuesEngine(EVENTS)
    with pytest.raises(UsageError, match="were made for events"):
        engine.run(replace(run, workload=workload_named("mixed")))
    with pytest.raises(UsageError, match="standard input"):
        engine.run(replace(run, input="-"))
    with pytest.raises(UsageError, match="no processes"):
        engine.run(replace(run, limits=BatchLimits(3)))
