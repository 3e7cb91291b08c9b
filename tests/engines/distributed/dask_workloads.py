"""Workloads and a function that do something with the process they run in."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event

from pipeline.stages import Output
from pipeline.v1.events_pb2 import Amounts, Events
from pipeline.workload import Workload
from pipeline.workloads.events.rules import rules
from tests.engines.failing import with_rules

#: The variable of the environment that tells the functions what they need.
VARIABLE = "PIPELINE_TEST_DASK"


def _first(doing: Callable[[Events], None]) -> Workload:
    """Return the events workload with rules that do something before."""

    def function(events: Events) -> Output[Amounts]:
        doing(events)
        return rules(events)

    return with_rules(function)


def _die(_: Events) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_twice(_: Events) -> None:
    """Die, but only if one of two files can be created."""
    for number in range(2):
        with suppress(FileExistsError):
            Path(f"{os.environ[VARIABLE]}.{number}").touch(exist_ok=False)
            os.kill(os.getpid(), signal.SIGKILL)


def _kill_scheduler(_: Events) -> None:
    """Kill the scheduler."""
    os.kill(int(Path(os.environ[VARIABLE]).read_text()), signal.SIGKILL)


def _wait(_: Events) -> None:
    """Tell that it runs, and wait for longer than any test."""
    with Path(os.environ[VARIABLE]).open("wb") as pipe:
        pipe.write(b"running\n")
    Event().wait(600)


def _raise(_: Events) -> None:
    raise ZeroDivisionError("no luck")


def environment(_: None) -> dict[str, str]:
    """Return the environment of this process."""
    return dict(os.environ)


DYING = _first(_die)
DYING_TWICE = _first(_die_twice)
KILLING_SCHEDULER = _first(_kill_scheduler)
WAITING = _first(_wait)
RAISING = _first(_raise)
