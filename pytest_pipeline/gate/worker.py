"""The side of a gate that is measured: benchmarks that wait to be told what to run.

This file is given to pytest in the environment of either revision, which may have
another version of this plugin, or none. So it needs pytest and pytest-benchmark only,
and must stay one file. The other end is ``side_session.py``.

Messages are lines of JSON over the socket whose number is in the environment. This side
first says what it has collected; then it is told to ``run`` a test, says that it is
``ready`` where the test calls its benchmark, is asked for samples until it is told that
it is ``done``, and says how the test has ``ended``.
"""

from __future__ import annotations

import functools
import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

SOCKET = "PIPELINE_GATE_SOCKET"
MARKER = "pipeline_gate"

Sample = Callable[[int], float]


class _Worker:
    """What a session has of its gate."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._lines = channel.makefile("r", encoding="utf-8")
        #: Whether the test that runs has been measured.
        self.served = False
        #: What went wrong, or the reason to skip it.
        self.problem = ""
        self.skipped = ""
        self.not_collected: list[str] = []
        #: Files and folders that were named, each with the test in it, if one was.
        self.chosen: list[tuple[Path, str]] = []

    def say(self, **message: Any) -> None:
        self._channel.sendall(json.dumps(message).encode() + b"\n")

    def told(self) -> dict[str, Any]:
        """Return the next message; end the session if nobody is there any more."""
        line = self._lines.readline()
        if not line:
            _leave()
        message: dict[str, Any] = json.loads(line)
        return message

    def serve(self, sample: Sample) -> None:
        """Sample as often as is asked, unless this test has been measured."""
        if self.served:
            return
        self.served = True
        self.say(kind="ready")
        while (message := self.told())["do"] == "sample":
            _move_to(message["turn"])
            pieces = range(message["pieces"])
            self.say(
                kind="seconds", seconds=min(sample(message["calls"]) for _ in pieces)
            )

    @pytest.hookimpl
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep what could not be collected."""
        if report.failed:
            self.not_collected.append(f"{report.nodeid}: {_last_line(report)}")

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep how a test ended: the first thing that went wrong says most."""
        if report.failed:
            self.problem = self.problem or _last_line(report)
        elif report.skipped:
            self.skipped = self.skipped or _last_line(report)

    def _is_chosen(self, item: pytest.Item) -> bool:
        name = item.nodeid.partition("::")[2]
        return not self.chosen or any(
            item.path.is_relative_to(path)
            # A class, a test, or one of its cases.
            and (not of or name == of or name.startswith((f"{of}::", f"{of}[")))
            for path, of in self.chosen
        )

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run the tests that are asked for, in place of all in their order."""
        items = {
            item.nodeid: item
            for item in session.items
            if _is_benchmark(item) and self._is_chosen(item)
        }
        self.say(
            kind="collected",
            benchmarks={name: _threshold(item) for name, item in items.items()},
            problems=self.not_collected,
        )
        while (message := self.told())["do"] == "run":
            self.served, self.problem, self.skipped = False, "", ""
            # What comes next says which fixtures may stay.
            session.config.hook.pytest_runtest_protocol(
                item=items[message["name"]], nextitem=items.get(message["next"])
            )
            if not (self.served or self.problem or self.skipped):
                self.problem = "it did not call its benchmark"
            self.say(kind="ended", problem=self.problem, skipped=self.skipped)
        return True


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Have each benchmark run once by itself, and all of it in this process."""
    try:
        from pytest_benchmark.fixture import BenchmarkFixture
    except ImportError:
        raise pytest.UsageError("the gate needs pytest-benchmark here") from None
    channel = socket.socket(fileno=int(os.environ.pop(SOCKET)))
    # What a benchmark starts must not keep it open.
    channel.set_inheritable(False)
    worker = _Worker(channel)
    config.pluginmanager.register(worker, "pipeline-gate-session")
    _take_over(BenchmarkFixture, worker)
    config.addinivalue_line(
        "markers", f"{MARKER}(threshold): from which change a benchmark is slower."
    )
    for name, value in (
        ("benchmark_disable", True),
        ("benchmark_enable", False),
        ("benchmark_only", False),
        ("benchmark_skip", False),
        # Of pytest-xdist.
        ("dist", "no"),
    ):
        if hasattr(config.option, name):
            setattr(config.option, name, value)
    # A file or a test that this revision does not have is none of its benchmarks; to
    # pytest a test that it does not find is an error, so only files are named to it.
    if not config.getoption("pyargs"):
        parts = [arg.partition("::") for arg in config.args]
        there = [(path, of) for path, _, of in parts if Path(path).exists()]
        worker.chosen = [(Path(path).resolve(), of) for path, of in there]
        config.args[:] = dict.fromkeys(path for path, _ in there)


def _take_over(fixture: Any, worker: _Worker) -> None:
    """Have benchmarks measured by whoever has the other end of the socket."""
    call, pedantic = fixture.__call__, fixture.pedantic

    # Classes, since a call looks for its method there; and those of pytest-benchmark
    # themselves, since its hooks know its fixture by its type.
    @functools.wraps(call)
    def sampled_call(
        self: Any, function: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        def sample(calls: int) -> float:
            began = time.perf_counter()
            for _ in range(calls):
                function(*args, **kwargs)
            return time.perf_counter() - began

        worker.serve(sample)
        return call(self, function, *args, **kwargs)

    @functools.wraps(pedantic)
    def gated_pedantic(
        self: Any,
        target: Callable[..., Any],
        args: Any = (),
        kwargs: Any = None,
        setup: Callable[[], Any] | None = None,
        teardown: Callable[..., Any] | None = None,
        **how: Any,
    ) -> Any:
        def sample(calls: int) -> float:
            seconds = 0.0
            for _ in range(calls):
                # As pytest-benchmark does it: a set-up may return the arguments.
                made = setup() if setup is not None else None
                given, named = made or (args, kwargs or {})
                began = time.perf_counter()
                target(*given, **named)
                seconds += time.perf_counter() - began
                if teardown is not None:
                    teardown(*given, **named)
            return seconds

        worker.serve(sample)
        return pedantic(self, target, args, kwargs, setup, teardown, **how)

    fixture.__call__ = sampled_call
    fixture.pedantic = gated_pedantic


def _move_to(turn: int) -> None:
    """Go on with a core that both sides have in this turn, and then wherever.

    Else either side may stay for minutes on a core of its own, of which one is shared
    with more that runs on this machine.
    """
    if hasattr(os, "sched_setaffinity"):
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, [sorted(cores)[turn % len(cores)]])
        os.sched_setaffinity(0, cores)


def _is_benchmark(item: pytest.Item) -> bool:
    return "benchmark" in getattr(item, "fixturenames", ())


def _threshold(item: pytest.Item) -> Any:
    mark = item.get_closest_marker(MARKER)
    return None if mark is None else mark.kwargs.get("threshold")


def _last_line(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Say in one line why a test failed or was skipped, or what can't be collected."""
    longrepr = report.longrepr
    if isinstance(longrepr, tuple):
        return str(longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(longrepr, "reprcrash", None)
    lines = (crash.message if crash else report.longreprtext).strip().splitlines()
    if crash:
        return " ".join(lines[:1])
    return lines[-1].removeprefix("E ").strip() if lines else "failed"


def _leave() -> NoReturn:
    raise pytest.exit.Exception("the gate has gone", returncode=2)
