"""What is put aside while something is measured."""

from __future__ import annotations

import cProfile
import gc
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from pytest_pipeline.measure.instrumentation import uninstrumented
from pytest_pipeline.measure.rounds import Rounds


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Leave the tracers and profilers of this session as they were."""
    trace, profile = sys.gettrace(), sys.getprofile()
    yield
    sys.settrace(trace)
    sys.setprofile(profile)
    threading.settrace(None)
    threading.setprofile(None)


def _tracer(*_: object) -> None:
    """Trace nothing."""


Getter = Callable[[], Any]


@pytest.mark.parametrize(
    ("install", "installed"),
    [
        (sys.settrace, sys.gettrace),
        (sys.setprofile, sys.getprofile),
        (threading.settrace, threading.gettrace),
        (threading.setprofile, threading.getprofile),
    ],
    ids=["trace", "profile", "trace of threads", "profile of threads"],
)
def test_a_tracer_is_put_aside_and_comes_back(
    install: Callable[[Any], None], installed: Getter
) -> None:
    """Also after an error."""
    install(_tracer)

    inside = []

    def fail() -> None:
        with uninstrumented():
            inside.append(installed())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    after = installed()
    install(None)
    assert inside == [None]
    assert after is _tracer


def test_a_profile_of_the_standard_library_goes_on_afterwards() -> None:
    """It is an object of C that can't be set like a function."""
    profile = cProfile.Profile()
    profile.enable()
    with uninstrumented():
        _inside()
    _outside()
    profile.disable()

    profile.create_stats()
    names = {name for _, _, name in profile.stats}
    assert "_outside" in names
    assert "_inside" not in names


def _inside() -> None:
    """Not to be profiled."""


def _outside() -> None:
    """To be profiled."""


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring is new in 3.12")
def test_tools_of_sys_monitoring_are_put_aside() -> None:
    """Their events for all code and for single code objects, as coverage sets both."""
    if sys.version_info < (3, 12):
        return
    monitoring, tool = sys.monitoring, 4
    line, start = monitoring.events.LINE, monitoring.events.PY_START
    monitoring.use_tool_id(tool, "ours")
    try:
        monitoring.set_events(tool, start)
        monitoring.set_local_events(tool, _inside.__code__, line)
        with uninstrumented():
            inside = (
                monitoring.get_events(tool),
                monitoring.get_local_events(tool, _inside.__code__),
            )
        after = (
            monitoring.get_events(tool),
            monitoring.get_local_events(tool, _inside.__code__),
        )
    finally:
        monitoring.set_local_events(tool, _inside.__code__, 0)
        monitoring.set_events(tool, 0)
        monitoring.free_tool_id(tool)

    assert inside == (0, 0)
    assert after == (start, line)


@pytest.mark.parametrize("was_on", [True, False])
def test_garbage_collection_is_stopped_on_request(was_on: bool) -> None:
    """Afterwards it is as it was."""
    (gc.enable if was_on else gc.disable)()
    try:
        with uninstrumented():
            untouched = gc.isenabled()
        with uninstrumented(collect_garbage=False):
            inside = gc.isenabled()
        after = gc.isenabled()
    finally:
        gc.enable()

    assert (untouched, inside, after) == (was_on, False, was_on)


def test_rounds_are_taken_without_a_tracer() -> None:
    """A tracer charges for lines, and so changes a ratio."""
    lines: list[int] = []

    def tracer(frame: FrameType, *_: object) -> Any:
        if frame.f_code is work.__code__:
            lines.append(frame.f_lineno)
        return tracer

    now = [0.0]

    def work() -> None:
        now[0] += 1

    def sampler(calls: int, _: int) -> float:
        for _call in range(calls):
            work()
        return float(calls)

    rounds = Rounds((sampler, sampler), sample_s=1, clock=lambda: now[0])
    sys.settrace(tracer)
    rounds.run(12, None)
    sys.settrace(None)

    assert len(rounds.logs) == 12
    assert lines == []
