"""The pytest plugin that runs the benchmarks of one side on request.

This file is copied to each revision, with `instrumentation.py`, because a revision may
have another version of this package, or none. So it imports only that file, pytest and
pytest-benchmark. The other end is ``side_session.py``.

It measures what the tests run and nothing else: plugins that trace, limit the time of a
test, shuffle or rerun tests are put aside, and the settings of pytest-benchmark (timer,
garbage collection, warm-up) are honoured.

Messages are lines of JSON over a socket, whose file descriptor is in the environment.
The worker first sends what it ``collected``. On ``run`` it starts a test, and sends
``ready`` when the test calls its benchmark. It answers each ``sample`` with ``seconds``
until it receives ``done``; then it lets the test finish and sends how it ``ended``.
"""

from __future__ import annotations

import faulthandler
import functools
import json
import os
import signal
import socket
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest

# Relative, because the two files are copied to places of their own.
from ..measure.instrumentation import uninstrumented  # noqa: TID252

SOCKET = "PIPELINE_GATE_SOCKET"
#: The environment variable with the folder of the repository that both sides come from.
ORIGIN = "PIPELINE_GATE_ORIGIN"
MARKER = "pipeline_gate"

Sample = Callable[[int], float]

#: Options of plugins, with the values that keep them out of a measurement.
_PUT_ASIDE = {
    # Of pytest-benchmark, whose rounds the gate replaces.
    "benchmark_disable": True,
    "benchmark_enable": False,
    "benchmark_only": False,
    "benchmark_skip": False,
    # Tests in other processes: pytest-xdist and pytest-forked.
    "dist": "no",
    "forked": False,
    # Tracers and profilers: pytest-cov, pytest-memray, pytest-profiling, CodSpeed.
    "no_cov": True,
    "memray": False,
    "profile": False,
    "profile_svg": False,
    "codspeed": False,
    # Debuggers wait for input.
    "usepdb": False,
    "trace": False,
    # Files outside of the checkout, which both sides would write.
    "basetemp": None,
    "xmlpath": None,
    "log_file": None,
}
#: The same seed on both sides, for pytest-randomly.
_SEED = 1
_RANDOM_SEEDS = ("default", "last")
# A timer that stands still would make samples that never end.
_STILL_S, _STILL_SHARE = 2.0, 1e-3


class _Worker:
    """A pytest plugin, and this end of the connection to the gate."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._lines = channel.makefile("r", encoding="utf-8")
        #: Whether the current test has been measured.
        self.served = False
        #: Why the current test failed or was skipped; for a failure, its report too.
        self.problem = ""
        self.report = ""
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

    def serve(self, fixture: Any, sample: Sample, warm_up: Callable[[], None]) -> None:
        """Take samples on request, unless this test has been measured already."""
        if self.served:
            return
        self.served = True
        with _undisturbed(collect_garbage=not fixture._disable_gc):  # noqa: SLF001
            warm_up()
            self.say(kind="ready")
            while (message := self.told())["do"] == "sample":
                _move_to(message["turn"])
                pieces = range(message["pieces"])
                self.say(
                    kind="seconds",
                    seconds=min(sample(message["calls"]) for _ in pieces),
                )

    @pytest.hookimpl
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note what could not be collected."""
        if report.failed:
            self.not_collected.append(f"{report.nodeid}: {_last_line(report)}")
            self.report = self.report or report.longreprtext

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how a test ended; of several problems, the first."""
        if report.failed:
            self.problem = self.problem or _last_line(report)
            self.report = self.report or report.longreprtext
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
            problems=self.not_collected or _shared_modules(),
            report=self.report,
        )
        while (message := self.told())["do"] == "run":
            self.served = False
            self.problem = self.report = self.skipped = ""
            # The next item decides which fixtures pytest tears down.
            session.config.hook.pytest_runtest_protocol(
                item=items[message["name"]], nextitem=items.get(message["next"])
            )
            if not (self.served or self.problem or self.skipped):
                self.problem = "it did not call its benchmark"
            self.say(
                kind="ended",
                problem=self.problem,
                report=self.report,
                skipped=self.skipped,
            )
        return True

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_timeout_set_timer(self) -> bool:
        """Disable pytest-timeout: a test waits while the other side is measured."""
        return True

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_timeout_cancel_timer(self) -> bool:
        """Leave nothing to cancel."""
        return True


# Not wrapper=True: a revision may have an old pluggy.
@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Iterator[None]:
    """Stop pytest-cov before it starts its tracer, in this hook."""
    _put_aside(early_config.known_args_namespace)
    yield


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Take over pytest-benchmark, and put other plugins aside."""
    try:
        from pytest_benchmark.fixture import BenchmarkFixture
    except ImportError:
        raise pytest.UsageError("the gate needs pytest-benchmark here") from None
    channel = socket.socket(fileno=int(os.environ.pop(SOCKET)))
    # Processes started by a benchmark must not keep it open.
    channel.set_inheritable(False)
    worker = _Worker(channel)
    config.pluginmanager.register(worker, "pipeline-gate-session")
    _take_over_call(BenchmarkFixture, worker)
    _take_over_pedantic(BenchmarkFixture, worker)
    config.addinivalue_line(
        "markers", f"{MARKER}(threshold): relative change from which it is slower."
    )
    _put_aside(config.option)
    if getattr(config.option, "randomly_seed", None) in _RANDOM_SEEDS:
        config.option.randomly_seed = _SEED
    # A file or a test may be missing in this revision. pytest would fail for a missing
    # test, so it gets the existing files, and the tests are selected here.
    if not config.getoption("pyargs"):
        parts = [arg.partition("::") for arg in config.args]
        there = [(path, of) for path, _, of in parts if Path(path).exists()]
        worker.chosen = [(Path(path).resolve(), of) for path, of in there]
        config.args[:] = dict.fromkeys(path for path, _ in there)


def _put_aside(options: Any) -> None:
    for name, value in _PUT_ASIDE.items():
        if hasattr(options, name):
            setattr(options, name, value)


@contextmanager
def _undisturbed(*, collect_garbage: bool) -> Iterator[None]:
    """Stop tracers, profilers and time limits while a test is measured.

    The samples of the other side count for the limits of this one.
    """
    with ExitStack() as stack:
        faulthandler.cancel_dump_traceback_later()
        for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
            left, interval = signal.setitimer(timer, 0)
            if left:
                stack.callback(signal.setitimer, timer, left, interval)
        if tracemalloc.is_tracing():
            stack.callback(tracemalloc.start, tracemalloc.get_traceback_limit())
            tracemalloc.stop()
        stack.enter_context(uninstrumented(collect_garbage=collect_garbage))
        yield


def _take_over_call(fixture: Any, worker: _Worker) -> None:
    """Let the gate measure ``benchmark(function)``."""
    call = fixture.__call__

    # Patch the class: Python looks __call__ up there, and the hooks of pytest-benchmark
    # check for this very type.
    @functools.wraps(call)
    def sampled_call(
        self: Any, function: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        clock = _clock_of(self)

        def sample(calls: int) -> float:
            began = clock()
            for _ in range(calls):
                function(*args, **kwargs)
            return clock() - began

        def warm_up() -> None:
            # As in pytest-benchmark: so many calls, for so many seconds at most.
            until = time.monotonic() + self._max_time
            for _ in range(self._warmup or 0):
                function(*args, **kwargs)
                if time.monotonic() > until:
                    break

        worker.serve(self, _checked(sample, clock), warm_up)
        return call(self, function, *args, **kwargs)

    fixture.__call__ = sampled_call


def _take_over_pedantic(fixture: Any, worker: _Worker) -> None:
    """Let the gate measure ``benchmark.pedantic(function)``."""
    pedantic = fixture.pedantic

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
        clock = _clock_of(self)

        def sample(calls: int) -> float:
            seconds = 0.0
            for _ in range(calls):
                # As in pytest-benchmark, the setup may return the arguments.
                made = setup() if setup is not None else None
                given, named = made or (args, kwargs or {})
                began = clock()
                target(*given, **named)
                seconds += clock() - began
                if teardown is not None:
                    teardown(*given, **named)
            return seconds

        def warm_up() -> None:
            if rounds := how.get("warmup_rounds", 0):
                sample(rounds * how.get("iterations", 1))

        worker.serve(self, _checked(sample, clock), warm_up)
        return pedantic(self, target, args, kwargs, setup, teardown, **how)

    fixture.pedantic = gated_pedantic


def _clock_of(fixture: Any) -> Callable[[], float]:
    """Return the timer of the benchmark: that of its marker or --benchmark-timer."""
    clock: Callable[[], float] = fixture._timer  # noqa: SLF001 - it has no public name
    return clock


def _checked(sample: Sample, clock: Callable[[], float]) -> Sample:
    """Return the sample function, which fails if the timer stands still."""

    def checked(calls: int) -> float:
        began = time.monotonic()
        seconds = sample(calls)
        took_s = time.monotonic() - began
        if took_s > _STILL_S and seconds < took_s * _STILL_SHARE:
            name = getattr(clock, "__name__", repr(clock))
            pytest.fail(
                f"the benchmark's timer {name} counted {seconds:.3g} s in "
                f"{took_s:.1f} s; set another one with --benchmark-timer",
                pytrace=False,
            )
        return seconds

    return checked


def _shared_modules() -> list[str]:
    """Return a complaint if tests import from the repository instead of the checkout.

    Both sides would then measure the same code. An installation in editable mode can
    cause that. What git ignores, such as an environment, may be shared.
    """
    origin = os.environ.get(ORIGIN)
    if not origin:
        return []
    prefixes = (sys.prefix, sys.base_prefix)
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if (
            isinstance(file, str)
            and Path(file).is_relative_to(origin)
            and "site-packages" not in Path(file).parts
            and not any(Path(file).is_relative_to(prefix) for prefix in prefixes)
        ):
            problem = (
                f"module {name}: is imported from {file}, which both sides share; "
                f"install the project of each side into its environment"
            )
            return [problem]
    return []


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
