"""A run with a checkpoint resumes after a crash, and ends with the same bytes."""

from __future__ import annotations

import gzip
import math
import os
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Never

import fsspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.accounting import RunReport
from pipeline.batching import BatchLimits, BatchSize, limits_of
from pipeline.checkpoint import Checkpoint
from pipeline.engines.base import Engine, RunSettings
from pipeline.engines.distributed.engine import DistributedEngine
from pipeline.engines.monolith import MonolithEngine
from pipeline.engines.split import SplitEngine
from pipeline.errors import FunctionError, SourceError, UsageError
from pipeline.inputs import STANDARD_INPUT
from pipeline.reject_limit import RejectLimit
from pipeline.v1.events_pb2 import Totals
from pipeline.workloads import workload_named
from pipeline.workloads.events import EVENTS
from pipeline.workloads.events.aggregate import TotalsByType
from pipeline.workloads.events.generate import generate_events
from tests.engines.several_files import over_files

EXAMPLE = Path(__file__).parents[2] / "examples" / "access_logs"
EVENT_LINES = b"".join(generate_events(120, seed=1, users=9, malformed=0.2))

NewRun = Callable[..., RunSettings]


class CrashError(Exception):
    """Ends a run in the place of SIGKILL."""


@pytest.fixture
def new_run(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> NewRun:
    """Describe runs of about 120 records, each with files of its own."""
    monkeypatch.syspath_prepend(EXAMPLE)

    def new_run(name: str, **changes: Any) -> RunSettings:
        folder = tmp_path_factory.mktemp("run")
        workload, path = workload_named(name), folder / "in"
        if name == "events":
            path.write_bytes(EVENT_LINES)
        elif name.startswith("access_logs"):
            log = (EXAMPLE / "access.log").read_bytes().splitlines(keepends=True)
            path.write_bytes(b"".join(log[:60]) + b"no request\n" * 60)
        if path.exists():
            source = workload.source.describe(path=path)
        else:
            source = workload.source.describe(
                records=120, iterations=3, payload_size="small"
            )
        run = RunSettings(
            workload,
            source,
            str(path) if path.exists() else "",
            output=folder / "out",
            rejects=folder / "rejects",
            limits=BatchLimits(7),
            checkpoint=folder / "checkpoint",
            checkpoint_batches=4,
        )
        return replace(run, **changes)

    return new_run


def published(run: RunSettings) -> tuple[bytes, bytes]:
    """Return the result and the rejects."""
    assert run.rejects is not None
    return run.output.read_bytes(), run.rejects.read_bytes()


def whole(run: RunSettings) -> tuple[bytes, bytes, RunReport]:
    """Return what the run publishes and reports without a checkpoint."""
    report = MonolithEngine().run(replace(run, checkpoint=None))
    files = published(run)
    for path in (run.output, run.rejects):
        assert path is not None
        path.unlink()
    return *files, report


def crash(engine: Engine, run: RunSettings, batches: int) -> None:
    """Run until so many batches are settled, or to the end if there are fewer.

    The folder of the checkpoint is left as it was in that moment.
    """
    assert run.checkpoint is not None
    folder, image = run.checkpoint, run.checkpoint.with_name("image")
    left = batches

    def on_progress(_: int) -> None:
        nonlocal left
        left -= 1
        if not left:
            shutil.copytree(folder, image)
            raise CrashError

    with suppress(CrashError, FunctionError):
        engine.run(replace(run, on_progress=on_progress))
    if image.exists():
        shutil.rmtree(folder)
        image.rename(folder)
    assert left > 0 or not run.output.exists()


def resume(engine: Engine, run: RunSettings) -> tuple[int, RunReport]:
    """Run to the end; return after how many records it resumed, and the report."""
    resumed: list[int] = []
    report = engine.run(replace(run, on_resume=resumed.append))
    return sum(resumed), report


@pytest.mark.parametrize(
    "name", ["events", "work-items", "mixed", "access_logs:ACCESS_LOGS"]
)
@given(
    st.lists(st.integers(1, 17), min_size=1, max_size=3),
    st.sampled_from([7, "auto"]),
    st.integers(1, 6),
)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_run_that_crashes_at_any_batch_gives_the_same_in_the_end(
    new_run: NewRun,
    name: str,
    crashes: list[int],
    batch_size: BatchSize,
    every: int,
) -> None:
    """However often it crashes: result, rejects and counts of the whole run."""
    run = new_run(name, limits=limits_of(batch_size), checkpoint_batches=every)
    result, rejects, expected = whole(run)

    for batches in crashes:
        crash(MonolithEngine(), run, batches)
        # That of a run which came to its end before the crash.
        run.output.unlink(missing_ok=True)
    _, report = resume(MonolithEngine(), run)

    assert published(run) == (result, rejects)
    assert report.records == expected.records
    assert report.rejections == expected.rejections


@pytest.mark.parametrize("batches", [3, 4, 5, 12, 13])
def test_no_more_batches_are_repeated_than_there_are_between_checkpoints(
    new_run: NewRun, batches: int
) -> None:
    """The last of the batches is settled, and its checkpoint is not stored yet."""
    run = new_run("events", checkpoint_batches=4)
    crash(MonolithEngine(), run, batches)

    resumed, report = resume(MonolithEngine(), run)

    stored = (batches - 1) // 4 * 4
    assert resumed == report.resumed_records == 7 * stored
    assert report.stages["parse"].replicas == 1
    assert report.batches == math.ceil(120 / 7)


@pytest.fixture
def split(addresses: dict[str, str]) -> SplitEngine:
    """The split, with a new process for ingest in each run."""
    return SplitEngine(
        {name: addresses[name] for name in ("parse", "rules", "aggregate")}
    )


@pytest.mark.parametrize("batch_size", [7, "auto"])
def test_the_split_resumes_with_the_bytes_of_the_monolith(
    new_run: NewRun, split: SplitEngine, batch_size: BatchSize
) -> None:
    """Ingest begins at the position."""
    run = new_run("events", limits=limits_of(batch_size), checkpoint_batches=1)
    result, rejects, expected = whole(run)

    crash(split, run, 3)
    resumed, report = resume(split, run)

    assert resumed > 0
    assert published(run) == (result, rejects)
    assert report.records == expected.records
    assert report.stages["parse"].messages_in < report.batches
    assert run.checkpoint is not None
    assert list(run.checkpoint.iterdir()) == []


def test_a_run_resumes_under_the_other_engine(
    new_run: NewRun, split: SplitEngine
) -> None:
    """Both count batches and records alike."""
    run = new_run("events", checkpoint_batches=2)
    expected = whole(run)

    crash(split, run, 5)
    resumed, _ = resume(MonolithEngine(), run)

    assert resumed > 0
    assert published(run) == expected[:2]


def test_a_crash_after_publishing_publishes_the_same_again(
    new_run: NewRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint of a published run is removed last."""
    run = new_run("events")
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "remove", lambda _: None)
        MonolithEngine().run(run)
    expected = published(run)

    resumed, report = resume(MonolithEngine(), run)

    assert resumed > 0
    assert published(run) == expected
    assert report.records.ingested == 120


def test_a_published_run_starts_anew(new_run: NewRun) -> None:
    """Nothing is left of its checkpoint."""
    run = new_run("events")
    MonolithEngine().run(run)

    resumed, _ = resume(MonolithEngine(), run)

    assert resumed == 0


def test_a_run_with_too_many_rejects_resumes_with_a_higher_limit(
    new_run: NewRun,
) -> None:
    """The limit decides only whether the run fails."""
    run = new_run("events", checkpoint_batches=1)
    expected = whole(run)
    with pytest.raises(SourceError, match="more than --max-rejects 9"):
        MonolithEngine().run(replace(run, reject_limit=RejectLimit.parsed("9")))

    resumed, _ = resume(
        MonolithEngine(), replace(run, reject_limit=RejectLimit.parsed("90%"))
    )

    assert resumed > 0
    assert published(run) == expected[:2]


class FailingTotals(TotalsByType):
    """Fails once more than 30 events have passed."""

    def add(self, totals: Totals, /) -> bytes:
        """Add totals, up to a point."""
        if self.records > 30:
            raise ZeroDivisionError("no luck")
        return super().add(totals)


@pytest.mark.parametrize("name", ["monolith", "split"])
def test_a_resumed_run_fails_with_the_words_of_the_whole_run(
    new_run: NewRun, split: SplitEngine, name: str
) -> None:
    """Batches and records are counted from the beginning of the input."""
    engine = MonolithEngine() if name == "monolith" else split
    workload = replace(EVENTS, new_result=FailingTotals)
    run = new_run("events", workload=workload, checkpoint_batches=1)
    with pytest.raises(FunctionError) as expected:
        MonolithEngine().run(replace(run, checkpoint=None))

    crash(engine, run, 4)
    with pytest.raises(FunctionError) as failure:
        engine.run(run)

    assert str(failure.value) == str(expected.value)
    assert "stage sink: batch " in str(failure.value)
    assert "add" in failure.value.traceback


def append(run: RunSettings) -> RunSettings:
    """Add a line to the input."""
    with Path(run.input).open("ab") as file:
        file.write(b"one more\n")
    return run


def overwrite(run: RunSettings) -> RunSettings:
    """Change a byte of the input."""
    path = Path(run.input)
    path.write_bytes(b" " + path.read_bytes()[1:])
    return run


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (append, "the size of "),
        (overwrite, "the hash of the first 65536 bytes of "),
        (overwrite, "the modification time of "),
        (lambda run: replace(run, max_records=50), "--max-records was 0 and is 50"),
        (
            lambda run: replace(run, limits=None),
            "--batch-size was 7 and is auto",
        ),
        (lambda run: replace(run, rejects=None), "--rejects was given and is left out"),
        (
            lambda run: replace(
                run, workload=workload_named("access_logs:ACCESS_LOGS")
            ),
            "--workload was events and is access_logs:ACCESS_LOGS",
        ),
        (
            lambda run: replace(run, source=EVENTS.source.describe(run.input, 99)),
            "the source was ",
        ),
    ],
)
def test_what_is_not_the_same_run_is_refused_by_name(
    new_run: NewRun, change: Callable[[RunSettings], RunSettings], named: str
) -> None:
    """The checkpoint stays, so the right command can still resume it."""
    run = new_run("events")
    crash(MonolithEngine(), run, 9)

    with pytest.raises(UsageError) as refused:
        MonolithEngine().run(change(run))

    assert named in str(refused.value)
    assert "run the same command again, or remove the folder" in str(refused.value)
    assert not run.output.exists()


def test_another_version_is_refused(
    new_run: NewRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may compute another result."""
    run = new_run("events")
    crash(MonolithEngine(), run, 9)
    monkeypatch.setattr("pipeline.__version__", "99.0", raising=False)

    with pytest.raises(UsageError, match=r"the version was .* and is 99\.0"):
        MonolithEngine().run(run)


def test_changed_code_of_a_workload_is_refused(
    new_run: NewRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file of its module is compared."""
    module = tmp_path / "my_workload.py"
    module.write_text("from pipeline.workloads.events import EVENTS as MINE\n")
    monkeypatch.syspath_prepend(tmp_path)
    workload = workload_named("my_workload:MINE")
    run = new_run("events", workload=workload)
    crash(MonolithEngine(), run, 9)
    module.write_text(module.read_text() + "# changed\n")

    with pytest.raises(UsageError, match="the code of the workload was "):
        MonolithEngine().run(run)


def refuse() -> Never:
    """Stand for an executor that must not be opened."""
    raise AssertionError


@pytest.mark.parametrize(
    ("engine", "changes", "message"),
    [
        (
            MonolithEngine(),
            {"input": STANDARD_INPUT},
            "--checkpoint: standard input and pipes can be read only once; give a file",
        ),
        (
            DistributedEngine("far", refuse),
            {},
            "--checkpoint: engine far takes none",
        ),
        (SplitEngine({"ingest": "localhost:1"}), {}, "stage ingest: can't have"),
        (SplitEngine({"sink": "localhost:1"}), {}, "stage sink: can't have an address"),
        (
            SplitEngine(programs={"sink": ["true"]}),
            {},
            "stage sink: can't have an address or another language in a run",
        ),
        (
            MonolithEngine(),
            {"checkpoint_batches": 0},
            "checkpoint every 0 batches: must be 1 or more",
        ),
    ],
)
def test_what_cant_resume_is_refused_at_once(
    new_run: NewRun, engine: Engine, changes: dict[str, Any], message: str
) -> None:
    """In one line, before anything is made."""
    run = new_run("events", **changes)

    with pytest.raises(UsageError) as refused:
        engine.run(run)

    assert str(refused.value).startswith(message)
    assert run.checkpoint is not None
    assert not run.checkpoint.exists()
    assert not run.output.exists()


def test_a_named_pipe_is_refused(new_run: NewRun) -> None:
    """Nobody may have to write to it before that."""
    run = new_run("events")
    Path(run.input).unlink()
    os.mkfifo(run.input)

    with pytest.raises(UsageError, match="pipes can be read only once"):
        MonolithEngine().run(run)


def test_an_input_that_is_gone_is_named(new_run: NewRun) -> None:
    """As without a checkpoint."""
    run = new_run("events")
    Path(run.input).unlink()

    with pytest.raises(SourceError, match=r"can't read .*/in: no such file"):
        MonolithEngine().run(run)


def test_a_run_over_several_files_resumes_while_each_is_what_it_was(
    new_run: NewRun, tmp_path: Path
) -> None:
    """The one that has changed is named."""
    cut = len(EVENT_LINES) // 2
    files = [EVENT_LINES[:cut], EVENT_LINES[cut:]]
    run = over_files(new_run("events"), tmp_path, files, [bytes, gzip.compress])
    expected, rejects, _ = whole(run)
    crash(MonolithEngine(), run, 11)
    second = tmp_path / "1.ndjson"
    second.rename(tmp_path / "moved")
    second.write_bytes(gzip.compress(files[1] + b"one more\n"))

    with pytest.raises(UsageError, match=f"the size of {re.escape(str(second))} was "):
        MonolithEngine().run(run)
    (tmp_path / "moved").replace(second)
    resumed, _ = resume(MonolithEngine(), run)

    assert resumed == 56
    assert published(run) == (expected, rejects)


def test_a_run_over_a_url_resumes_while_its_store_tells_of_no_change(
    new_run: NewRun,
) -> None:
    """It is as a file is, but for what a store does not have."""
    url = "memory://resuming/in"
    system = fsspec.filesystem("memory")
    system.pipe_file(url, EVENT_LINES)
    run = new_run("events")
    expected, rejects, _ = whole(run)
    run = replace(run, source=EVENTS.source.describe(path=url), input=url)
    crash(MonolithEngine(), run, 11)

    resumed, _ = resume(MonolithEngine(), run)

    assert resumed == 56
    assert published(run) == (expected, rejects)


def test_a_url_with_another_content_is_not_resumed(new_run: NewRun) -> None:
    """It is named by its URL."""
    url = "memory://resuming/in"
    system = fsspec.filesystem("memory")
    system.pipe_file(url, EVENT_LINES)
    source = EVENTS.source.describe(path=url)
    run = replace(new_run("events"), source=source, input=url)
    crash(MonolithEngine(), run, 11)
    system.pipe_file(url, EVENT_LINES + b"one more\n")

    with pytest.raises(UsageError, match=f"the size of {url} was "):
        MonolithEngine().run(run)
