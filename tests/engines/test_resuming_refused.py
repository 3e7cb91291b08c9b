"""A run resumes only if it is the same run, over the same input."""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Never

import fsspec
import pytest

from pipeline.engines.base import Engine, RunSettings
from pipeline.engines.distributed.engine import DistributedEngine
from pipeline.engines.monolith import MonolithEngine
from pipeline.engines.split import SplitEngine
from pipeline.errors import SourceError, UsageError
from pipeline.inputs import STANDARD_INPUT
from pipeline.workloads import workload_named
from pipeline.workloads.events import EVENTS
from tests.engines.resuming import (
    EVENT_LINES,
    NewRun,
    crash,
    published,
    resume,
    whole,
)
from tests.engines.several_files import over_files


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
