"""The environment that our processes start with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.transport.environment import set_defaults
from pipeline.transport.processes import StageServers


def test_a_setting_of_the_users_own_stays() -> None:
    """Only what is not set is set."""
    environment = {"OMP_NUM_THREADS": "8"}
    set_defaults(environment)

    assert environment["OMP_NUM_THREADS"] == "8"
    assert environment["OPENBLAS_NUM_THREADS"] == "1"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_stage_servers_keep_numeric_libraries_on_one_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every library that has a setting for it finds it in the server's environment."""
    names = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"}
    for name in names:
        monkeypatch.delenv(name, raising=False)
    with StageServers("events", ["parse"]) as servers:
        (process,) = servers.processes
        found = Path(f"/proc/{process.pid}/environ").read_bytes().decode().split("\0")

    assert {f"{name}=1" for name in names} <= set(found)


@pytest.mark.skipif(sys.platform != "linux", reason="the policy is Linux's")
def test_stage_servers_wait_for_their_turn() -> None:
    """A server that a message wakes up does not interrupt whoever sent it."""
    with StageServers("events", ["parse"]) as servers:
        (process,) = servers.processes
        policy = os.sched_getscheduler(process.pid)

    assert policy == os.SCHED_BATCH


@pytest.mark.skipif(sys.platform != "linux", reason="the policy is Linux's")
def test_a_scheduling_policy_of_the_users_own_stays() -> None:
    """Such as that of a run that is to take only what others leave."""
    code = (
        "import os\n"
        "from pipeline.transport.environment import configure_process\n"
        "os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))\n"
        "configure_process()\n"
        "print(os.sched_getscheduler(0) == os.SCHED_IDLE)"
    )

    printed = subprocess.check_output([sys.executable, "-c", code], text=True)

    assert printed == "True\n"


def test_the_events_workload_leaves_numeric_libraries_out() -> None:
    """Their import would take nearly half of a server's start."""
    code = (
        "import sys, pipeline.workloads.events as _; sys.exit('numpy' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
