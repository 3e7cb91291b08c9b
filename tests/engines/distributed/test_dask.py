"""The engine ``dask`` on clusters of processes: exact, or one line says why not."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import HealthCheck, given, settings

pytest.importorskip("distributed", reason="the extra dask is not installed")

import dask
from distributed import Client, LocalCluster, Security
from distributed.diagnostics.plugin import UploadDirectory

from pipeline.batching import BatchLimits
from pipeline.engines.base import RunSettings
from pipeline.engines.distributed.dask_engine import engine
from pipeline.engines.monolith import MonolithEngine
from pipeline.errors import LostStageError, StageError, UsageError
from pipeline.workloads import workload_named
from pipeline.workloads.events.generate import generate_events
from pipeline.workloads.lines import line_source
from pipeline.workloads.mixed.source import mixed_source
from pipeline.workloads.work_items.source import work_item_source
from tests.cli.commands import COMMAND, FAILED, SUCCESS, pipeline
from tests.cli.test_signals import ended_by
from tests.engines.conftest import SettingsFor
from tests.engines.distributed.dask_workloads import VARIABLE
from tests.engines.distributed.runs import Sizes, cut_small, outcome, sizes
from tests.engines.failing import failure
from tests.engines.several_files import Wrapper, cut_files, over_files, wrappers

ROOT = Path(__file__).parents[3]
WORKLOADS = "tests.engines.distributed.dask_workloads"
ROLES = ("client", "scheduler", "worker")
DATA = b"".join(generate_events(400, seed=1, users=5, malformed=0.05))

# Prints the environment of a worker of a run.
PRINT_ENVIRONMENT = """
import json
from pipeline.engines.distributed.dask_executor import local_executor
from pipeline.engines.distributed.worker_processes import start_fork_server
from tests.engines.distributed.dask_workloads import environment

with local_executor(1, are_forked=start_fork_server("distributed")) as executor:
    print(json.dumps(executor.submit(environment, None).result()))
"""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The scheduler of a cluster with two workers."""
    with (
        # On a busy machine, spawned workers restart later than Dask allows them to.
        dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}),
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
        ) as cluster,
    ):
        yield cluster.scheduler_address


@pytest.fixture(autouse=True)
def in_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers find these workloads by the current folder."""
    monkeypatch.chdir(ROOT)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut_files(), wrappers(), sizes())
def test_any_files_give_the_same(
    settings_for: SettingsFor,
    address: str,
    tmp_path: Path,
    files: list[bytes],
    compressed: list[Wrapper],
    cut: Sizes,
) -> None:
    """Result, rejects and counts are those of the monolith, of one file or several."""
    run = cut.applied_to(over_files(settings_for(b""), tmp_path, files, compressed))

    assert outcome(engine(address, window=cut.window), run) == outcome(
        MonolithEngine(), run
    )


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("work-items", work_item_source(500, payload_size="small", iterations=20)),
        ("mixed", mixed_source(500, work_ratio=0.3, iterations=20)),
        (
            "access_logs:ACCESS_LOGS",
            line_source(ROOT / "examples" / "access_logs" / "access.log"),
        ),
    ],
)
def test_other_workloads_give_the_same(
    address: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    source: Any,
) -> None:
    """Records that are made, and a user's own workload."""
    monkeypatch.syspath_prepend(ROOT / "examples" / "access_logs")
    run = RunSettings(
        workload=workload_named(name),
        source=source,
        input="",
        output=tmp_path / "out",
        rejects=tmp_path / "rejects",
        limits=BatchLimits(7),
    )
    # A cluster that is started now finds what this process finds.
    on_dask = engine(workers=1) if ":" in name else engine(address)

    assert outcome(on_dask, run) == outcome(MonolithEngine(), run)


def test_the_command_gives_the_bytes_of_the_monolith(tmp_path: Path) -> None:
    """On a cluster of its own, of which nothing is left."""
    (tmp_path / "in").write_bytes(DATA)
    made = []
    for name, *options in [("dask", "--workers", "2"), ("monolith",)]:
        files = [tmp_path / f"{name}.{kind}" for kind in ("out", "rejects")]
        done = pipeline(
            *("run", tmp_path / "in", "--output", files[0], "--rejects", files[1]),
            *("--engine", name),
            *options,
        )
        assert (done.returncode, done.stderr) == (SUCCESS, b"")
        made.append([file.read_bytes() for file in files])

    assert made[0] == made[1]


def test_workers_that_are_lost_cost_nothing_but_time(
    settings_for: SettingsFor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two are killed while they run a part, and the parts are run again."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "death"))
    run = settings_for(DATA, 10, workload=cut_small(workload_named("events"), 64, 999))
    expected = outcome(MonolithEngine(), run)
    dying = workload_named(f"{WORKLOADS}:DYING_TWICE")

    found = outcome(
        engine(workers=2),
        replace(run, workload=cut_small(dying, 64, 999)),
    )

    assert len(list(tmp_path.glob("death.*"))) == 2
    assert found[:2] == expected[:2]


def test_workers_of_a_run_keep_freed_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dask's default is to give it back; a variable of the user stays."""
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    monkeypatch.setenv(VARIABLE, "mine")

    # In a process of its own: other clusters leave Dask's default in that of the tests.
    done = subprocess.run(
        [sys.executable, "-c", PRINT_ENVIRONMENT],
        capture_output=True,
        check=True,
        text=True,
    )

    found = json.loads(done.stdout)
    assert "MALLOC_TRIM_THRESHOLD_" not in found
    assert found[VARIABLE] == "mine"


def test_a_part_that_kills_each_worker_fails_the_run(
    settings_for: SettingsFor,
) -> None:
    """It is given up after four, and named."""
    run = settings_for(DATA, 10, workload=workload_named(f"{WORKLOADS}:DYING"))

    message = failure(engine(workers=1), run, LostStageError)

    assert message == (
        "part from record 1: 4 workers were lost while they ran it; a function may "
        "crash, or run out of memory"
    )


def test_a_function_that_raises_is_told_as_by_the_monolith(tmp_path: Path) -> None:
    """With the traceback of the worker, once, and an earlier output is kept."""
    (tmp_path / "in").write_bytes(DATA)
    (tmp_path / "out").write_text("earlier")
    ends = []
    for name, *options in [("dask", "--workers", "1"), ("monolith",)]:
        done = pipeline(
            *("run", tmp_path / "in", "--output", tmp_path / "out", "--engine", name),
            *options,
            *("--workload", f"{WORKLOADS}:RAISING", "--batch-size", "10"),
        )
        ends.append((done.returncode, done.stderr))

    assert ends[0] == ends[1]
    assert ends[0][0] == FAILED
    assert (tmp_path / "out").read_text() == "earlier"


@contextmanager
def started(command: list[str], **how: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process, and kill it at the end if it still runs."""
    with subprocess.Popen(command, **how) as process:
        try:
            yield process
        finally:
            process.kill()


def address_in(scheduler: subprocess.Popen[bytes]) -> str:
    """Return the address that a scheduler prints."""
    assert scheduler.stderr is not None
    for line in scheduler.stderr:
        if found := re.search(rb"Scheduler at: +(tcp://\S+)", line):
            return found[1].decode()
    raise AssertionError("the scheduler has ended")


def test_a_scheduler_that_is_killed_fails_the_run_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An earlier output is kept."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "pid"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (tmp_path / "in").write_bytes(DATA)
    (tmp_path / "out").write_text("earlier")
    dask = [sys.executable, "-m", "dask"]
    here = ["--host", "127.0.0.1", "--no-dashboard"]
    with started(
        [*dask, "scheduler", *here, "--port", "0"], stderr=subprocess.PIPE
    ) as scheduler:
        (tmp_path / "pid").write_text(str(scheduler.pid))
        address = address_in(scheduler)
        with started(
            [
                *(*dask, "worker", address, *here, "--nthreads", "1", "--no-nanny"),
                *("--local-directory", str(tmp_path / "worker")),
            ],
            stderr=subprocess.DEVNULL,
        ):
            done = pipeline(
                *("run", tmp_path / "in", "--output", tmp_path / "out"),
                *("--workload", f"{WORKLOADS}:KILLING_SCHEDULER"),
                *("--engine", "dask", "--address", address),
            )

    assert done.returncode == FAILED
    assert b" is gone; run again when it is back\n" in done.stderr
    assert done.stderr.count(b"\n") == 1
    assert (tmp_path / "out").read_text() == "earlier"


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_run_with_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """Although it is sent to the workers too, which are in the same process group."""
    pipe, temporary = tmp_path / "pipe", tmp_path / "temporary"
    os.mkfifo(pipe)
    temporary.mkdir()
    monkeypatch.setenv(VARIABLE, str(pipe))
    monkeypatch.setenv("TMPDIR", str(temporary))
    (tmp_path / "in").write_bytes(DATA)
    command = [
        *(*COMMAND, "run", str(tmp_path / "in"), "--output", str(tmp_path / "out")),
        *("--workload", f"{WORKLOADS}:WAITING", "--engine", "dask", "--workers", "1"),
    ]
    with started(command, stderr=subprocess.PIPE, process_group=0) as process:
        with pipe.open("rb") as running:
            assert running.read() == b"running\n"
        os.killpg(process.pid, number)
        _, errors = process.communicate(timeout=60)

    assert (process.returncode, errors.decode()) == (128 + number, ended_by(number))
    assert list(temporary.iterdir()) == []
    assert not (tmp_path / "out").exists()


def test_a_workload_reaches_the_workers_by_the_plugin_of_dask(
    address: str,
    settings_for: SettingsFor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without it, the run says what a worker lacks."""
    folder = tmp_path / "my_workloads"
    folder.mkdir()
    (folder / "uploaded.py").write_text("from pipeline.workloads.events import EVENTS")
    monkeypatch.syspath_prepend(folder)
    run = settings_for(DATA, 10, workload=workload_named("uploaded:EVENTS"))
    # Workers that restart would find what this process finds.
    sys.path.remove(str(folder))

    assert failure(engine(address), run, UsageError).startswith(
        "a worker has not the same workload: workload 'uploaded:EVENTS' can't be "
        "imported: ModuleNotFoundError"
    )
    with Client(address, set_as_default=False) as client:
        client.register_plugin(
            UploadDirectory(folder, update_path=True, restart_workers=True)
        )
    assert outcome(engine(address), run) == outcome(MonolithEngine(), run)


def test_a_cluster_under_tls_is_used_by_the_settings_of_dask(
    settings_for: SettingsFor, tmp_path: Path
) -> None:
    """The driver finds its certificate where Dask's own clients do."""
    authority = trustme.CA()
    given = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    given.private_key_and_cert_chain_pem.write_to_path(tmp_path / "pair.pem")
    pair = str(tmp_path / "pair.pem")
    roles = {f"distributed.comm.tls.{role}.cert": pair for role in ROLES}
    run = settings_for(DATA, 10)
    with (
        dask.config.set(
            {"distributed.comm.tls.ca-file": str(tmp_path / "ca.pem")} | roles
        ),
        LocalCluster(
            n_workers=1,
            processes=False,
            protocol="tls",
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            security=Security(require_encryption=True),
        ) as cluster,
    ):
        address = cluster.scheduler_address
        assert address.startswith("tls://")
        assert outcome(engine(address), run) == outcome(MonolithEngine(), run)


def test_nobody_at_an_address_is_said(
    settings_for: SettingsFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within the time that connecting may take."""
    monkeypatch.setattr("pipeline.engines.distributed.dask_executor._CONNECT_S", 0.1)

    message = failure(engine("tcp://127.0.0.1:9"), settings_for(DATA, 10), StageError)

    assert message.startswith("no scheduler of Dask answers at tcp://127.0.0.1:9: ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "workers 0: must be 1 or more"),
        ({"window": 0}, "window 0: must be 1 or more"),
        ({"address": "10.0.0.1:8786"}, "--address 10.0.0.1:8786: must be tcp://"),
        ({"address": "tcp://host"}, "--address tcp://host: must be tcp://HOST:PORT"),
        ({"address": "tcp://host:x"}, "--address tcp://host:x: must be tcp://"),
        (
            {"address": "tcp://host:1", "workers": 2},
            "--workers: the cluster at tcp://host:1 has its own; leave it out",
        ),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    """Before anything is started."""
    with pytest.raises(UsageError) as raised:
        engine(**options)

    assert str(raised.value).startswith(message)
