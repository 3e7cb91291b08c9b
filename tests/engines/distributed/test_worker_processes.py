"""How processes of workers start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.engines.distributed.worker_processes import (
    environment,
    start_fork_server,
)
from tests.cli.commands import GOOD

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="workers are spawned elsewhere"
)

SHADOWED = ("distributed", "dask", "random")


# Prints the signals that are blocked in a worker. A test session may already have
# started a fork server, for clusters of its own.
PRINT_BLOCKED = """
import signal
from multiprocessing import get_context
from pipeline.engines.distributed.worker_processes import start_fork_server

def print_blocked():
    print(*(each.name for each in signal.pthread_sigmask(signal.SIG_BLOCK, [])))

if __name__ == "__main__":
    assert start_fork_server("distributed")
    worker = get_context("forkserver").Process(target=print_blocked)
    worker.start()
    worker.join()
"""


def test_a_forked_worker_never_receives_ctrl_c_but_can_be_ended(
    tmp_path: Path,
) -> None:
    """By SIGTERM, by which the driver stops it."""
    program = tmp_path / "print_blocked.py"
    program.write_text(PRINT_BLOCKED)

    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, check=True, text=True
    )

    assert set(done.stdout.split()) == {"SIGINT", "SIGHUP"}


def test_a_fork_server_leaves_the_environment_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And workers get what is set later, without what only the fork server has."""
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    before = dict(os.environ)

    start_fork_server("distributed")

    assert os.environ == before
    monkeypatch.setenv("SET_LATER", "yes")
    assert environment() == before | {"SET_LATER": "yes", "PYTHONSAFEPATH": ""}


def test_a_folder_with_a_path_too_long_for_a_socket_is_no_failure(
    tmp_path: Path,
) -> None:
    """Workers are spawned then."""
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    program = (
        "from pipeline.engines.distributed.worker_processes import start_fork_server\n"
        "print(start_fork_server())"
    )

    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"TMPDIR": str(folder)},
        capture_output=True,
        check=False,
    )

    assert (done.stdout, done.stderr) == (b"False\n", b"")


def test_modules_of_the_current_folder_do_not_replace_those_of_dask(
    tmp_path: Path,
) -> None:
    """Neither in the fork server nor in workers."""
    pytest.importorskip("distributed", reason="the extra dask is not installed")
    (tmp_path / "in").write_text(GOOD)
    for name in SHADOWED:
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported')")

    done = subprocess.run(
        [
            Path(sys.executable).with_name("pipeline"),
            *("run", "in", "--output", "out", "--engine", "dask", "--workers", "1"),
        ],
        cwd=tmp_path,
        capture_output=True,
        check=False,
        timeout=180,
    )

    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "out").exists()
