"""What plugins and settings add to a test, and what the gate measures of it."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_pipeline.gate.errors import GateFaultError
from pytest_pipeline.gate.side_session import Side, SideSession

Start = Callable[..., SideSession]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Return a function that starts a session on a file of tests and a conftest."""

    def start(
        tests: str, *arguments: str, conftest: str = "", **environ: str
    ) -> SideSession:
        folder = tmp_path / "tests"
        folder.mkdir()
        (folder / "test_it.py").write_text(textwrap.dedent(tests))
        (folder / "conftest.py").write_text(textwrap.dedent(conftest))
        side = Side("old", folder, Path(sys.executable), {**os.environ, **environ})
        return SideSession(
            side,
            ["-p", "no:cacheprovider", "-p", "no:pipeline", *arguments],
            tmp_path / "log",
        )

    return start


def measure(session: SideSession) -> list[float]:
    """Run all benchmarks, with one sample of five calls each."""
    names = list(session.collected())
    seconds = []
    for name, following in zip(names, [*names[1:], None], strict=True):
        session.begin(name, following)
        assert session.is_ready(name) == ""
        seconds.append(session.seconds(name, calls=5, pieces=1, turn=0))
        session.end(name)
    return seconds


# Plugins that start something around each test, as those named do.
INSTRUMENTS = """
    import cProfile, faulthandler, signal, sys, threading, tracemalloc
    import pytest

    def tracer(*_):
        return tracer

    @pytest.fixture(autouse=True)
    def instruments():
        sys.settrace(tracer)              # coverage
        threading.settrace(tracer)
        profile = cProfile.Profile()      # pytest-profiling
        profile.enable()
        tracemalloc.start()               # pytest-memray
        signal.setitimer(signal.ITIMER_REAL, 600)  # time limits
        yield
        assert sys.gettrace() is tracer
        assert tracemalloc.is_tracing()
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 600
        signal.setitimer(signal.ITIMER_REAL, 0)
        profile.disable()
        sys.settrace(None)
        threading.settrace(None)
"""


def test_tracers_profilers_and_time_limits_are_put_aside(start: Start) -> None:
    """While samples are taken; for the rest of the test they are back."""
    with start(
        """
        import signal, sys, threading, tracemalloc

        seen = []

        def look():
            seen.append((
                sys.gettrace(), sys.getprofile(), threading.gettrace(),
                tracemalloc.is_tracing(), signal.getitimer(signal.ITIMER_REAL)[0],
            ))

        def test_call(benchmark):
            benchmark(look)
            assert set(seen[:5]) == {(None, None, None, False, 0.0)}

        def test_pedantic(benchmark):
            seen.clear()
            benchmark.pedantic(look)
            assert set(seen[:5]) == {(None, None, None, False, 0.0)}
        """,
        conftest=INSTRUMENTS,
    ) as session:
        assert len(measure(session)) == 2


# The options and the hooks of pytest-cov, pytest-timeout, pytest-randomly and others.
PLUGINS = """
    import pytest

    class Hooks:
        @pytest.hookspec(firstresult=True)
        def pytest_timeout_set_timer(item, settings): ...

    def pytest_addoption(parser, pluginmanager):
        for name, default in (
            ("cov", 1), ("forked", 1), ("memray", 1), ("randomly_seed", "default")
        ):
            parser.addoption(f"--{name}", default=default)
        parser.addoption("--no-cov", default=False)

    def pytest_addhooks(pluginmanager):
        pluginmanager.add_hookspecs(Hooks)

    def pytest_timeout_set_timer(item, settings):
        pytest.fail("the time limit was set")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(item):
        item.config.hook.pytest_timeout_set_timer(item=item, settings=None)
"""


def test_plugins_that_would_take_part_are_put_aside(
    start: Start, tmp_path: Path
) -> None:
    """Coverage, time limits, other processes, seeds, and files outside of the side."""
    with start(
        """
        def test_it(benchmark, request):
            benchmark(int)
            option = request.config.option
            assert option.no_cov is True
            assert (option.forked, option.memray) == (False, False)
            assert option.randomly_seed == 1
            assert option.basetemp is None
        """,
        "--basetemp",
        str(tmp_path / "base"),
        f"--junitxml={tmp_path / 'junit.xml'}",
        "-p",
        "no:benchmark",
        conftest=PLUGINS,
    ) as session:
        assert len(measure(session)) == 1

    assert not (tmp_path / "base").exists()
    assert not (tmp_path / "junit.xml").exists()


def test_settings_of_the_benchmark_are_honoured(start: Start) -> None:
    """Timer, garbage collection and warm-up, of options and markers."""
    with start(
        """
        import gc
        import pytest

        calls = []
        now = 0.0

        def timer():
            return now

        def work():
            global now
            now += 7
            calls.append(gc.isenabled())

        @pytest.mark.benchmark(timer=timer)
        def test_call(benchmark):
            benchmark(work)
            # 11 to warm up, 5 of the sample, and 1 for the result.
            assert calls == [False] * 16 + [True]

        @pytest.mark.benchmark(timer=timer, disable_gc=False)
        def test_pedantic(benchmark):
            calls.clear()
            benchmark.pedantic(work, warmup_rounds=3)
            assert calls == [True] * 9
        """,
        "--benchmark-disable-gc",
        "--benchmark-warmup=on",
        "--benchmark-warmup-iterations=11",
        # Not loaded by itself: the gate names it.
        PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
    ) as session:
        assert measure(session) == [35, 35]


def test_a_timer_that_stands_still_is_refused(start: Start) -> None:
    """CPU time of a function that waits, for example; its samples would never end."""
    with (
        start(
            """
            import time
            import pytest

            def still():
                return 0.0

            def pass_time():
                now = time.monotonic() + 3
                time.monotonic = lambda: now

            @pytest.mark.benchmark(timer=still)
            def test_it(benchmark):
                benchmark(pass_time)
            """
        ) as session,
        pytest.raises(GateFaultError, match="the benchmark's timer still counted 0 s"),
    ):
        measure(session)


def test_code_that_both_sides_share_is_refused(start: Start, tmp_path: Path) -> None:
    """An editable installation of the working tree, for example."""
    shared = tmp_path / "repository"
    shared.mkdir()
    (shared / "work.py").write_text("")
    with (
        start(
            f"""
            import sys
            sys.path.insert(0, {str(shared)!r})
            import work

            def test_it(benchmark): benchmark(int)
            """,
            PIPELINE_GATE_ORIGIN=str(shared),
        ) as session,
        pytest.raises(GateFaultError, match=r"module work: is imported from .*share"),
    ):
        session.collected()
