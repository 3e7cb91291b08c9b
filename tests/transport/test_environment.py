"""The environment that our processes start with."""

from __future__ import annotations

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


def test_the_events_workload_leaves_numeric_libraries_out() -> None:
    """Their import would take nearly half of a server's start."""
    code = (
        "import sys, pipeline.workloads.events as _; sys.exit('numpy' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
