"""The pytest plugin that runs the benchmarks of one side on request.

This file is copied into the environment of each revision, which may have another
version of this package, or none. So it is a single file that imports only pytest and
pytest-benchmark. The other end is ``side_session.py``.

Messages are lines of JSON over a socket, whose file descriptor is in the environment.
The worker first sends what it ``collected``. On ``run`` it starts a test, and sends
``ready`` when the test calls its benchmark. It answers each ``sample`` with ``seconds``
until it receives ``done``; then it lets the test finish and sends how it ``ended``.
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
    """A pytest plugin, and this end of the connection to the gate."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._lines = channel.makefile("r", encoding="utf-8")
        #: Whether the current test has been measured.
        self.served = False
        #: Why the current test failed or was skipped.
        self.problem = ""
        self.skipped = ""
        self.not_collected: list[str] = []
        #: Files and folders of the command line, each with a test in it or "".
        self.chosen: list[tuple[Path, str]] = []

    def say(self, **message: Any) -> None:
        self._channel.sendall(json.dumps(message).encode() + b"\n")

    def told(self) -> dict[str, Any]:
        """Return the next message; exit if the gate has closed the connection."""
        line = self._lines.readline()
        if not line:
            _leave()
        message: dict[str, Any] = json.loads(line)
        return message

    def serve(self, sample: Sample) -> None:
        """Take samples on request, unless this test has been measured already."""
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
        """Note what could not be collected."""
        if report.failed:
            self.not_collected.append(f"{report.nodeid}: {_last_line(report)}")

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how a test ended; of several problems, the first."""
        if report.failed:
            self.problem = self.problem or _last_line(report)
        elif report.skipped:
            self.skipped = self.skipped or _last_line(report)

    def _is_chosen(self, item: pytest.Item) -> bool:
        name = item.nodeid.partition("::")[2]
        return not self.chosen or any(
            item.path.is_relative_to(path)
            # A class, a test, or a case of a parametrized test.
            and (not of or name == of or name.startswith((f"{of}::", f"{of}[")))
            for path, of in self.chosen
        )

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run tests on request instead of all in order."""
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
            # The next item decides which fixtures pytest tears down.
            session.config.hook.pytest_runtest_protocol(
                item=items[message["name"]], nextitem=items.get(message["next"])
            )
            if not (self.served or self.problem or self.skipped):
                self.problem = "it did not call its benchmark"
            self.say(kind="ended", problem=self.problem, skipped=self.skipped)
        return True


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Disable pytest-benchmark's own rounds, and pytest-xdist."""
    try:
        from pytest_benchmark.fixture import BenchmarkFixture
    except ImportError:
        raise pytest.UsageError("the gate needs pytest-benchmark here") from None
    channel = socket.socket(fileno=int(os.environ.pop(SOCKET)))
    # Processes started by a benchmark must not keep it open.
    channel.set_inheritable(False)
    worker = _Worker(channel)
    config.pluginmanager.register(worker, "pipeline-gate-session")
    _take_over(BenchmarkFixture, worker)
    config.addinivalue_line(
        "markers", f"{MARKER}(threshold): relative change from which it is slower."
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
    # A file or a test may be missing in this revision. pytest would fail for a missing
    # test, so it gets the existing files, and the tests are selected here.
    if not config.getoption("pyargs"):
        parts = [arg.partition("::") for arg in config.args]
        there = [(path, of) for path, _, of in parts if Path(path).exists()]
        worker.chosen = [(Path(path).resolve(), of) for path, of in there]
        config.args[:] = dict.fromkeys(path for path, _ in there)


def _take_over(fixture: Any, worker: _Worker) -> None:
    """Let the gate measure each call of the benchmark fixture."""
    call, pedantic = fixture.__call__, fixture.pedantic

    # Patch the class: Python looks __call__ up there, and the hooks of pytest-benchmark
    # check for this very type.
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
                # As in pytest-benchmark, the setup may return the arguments.
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
    """Move to the core of this turn, the same on both sides, and stay free to leave.

    Otherwise each side may run on its own core for minutes, one of them busier.
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
    """Return in one line why a test failed, was skipped or can't be collected."""
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
