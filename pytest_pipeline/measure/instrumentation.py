"""Put aside what slows down a process that is measured: tracers and profilers.

pytest-benchmark does the same around its own loop, for two of these mechanisms. The
gate copies this file to each revision, so it imports the standard library only.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import CodeType, FunctionType
from typing import Any


@contextmanager
def uninstrumented(*, collect_garbage: bool = True) -> Iterator[None]:
    """Run without tracers and profilers, and start them again afterwards.

    This covers ``sys.settrace``, ``sys.setprofile``, their hooks for new threads and,
    from Python 3.12 on, every tool of ``sys.monitoring``. A thread that was started
    under a tracer before keeps it, since Python can stop that in its own thread only.

    Args:
        collect_garbage: False to stop automatic garbage collection too.
    """
    with ExitStack() as stack:
        if not collect_garbage and gc.isenabled():
            gc.disable()
            stack.callback(gc.enable)
        _put_aside(stack, threading.gettrace(), threading.settrace)
        _put_aside(stack, threading.getprofile(), threading.setprofile)
        _put_aside(stack, sys.gettrace(), sys.settrace)
        profiler: Any = sys.getprofile()
        # An extension's profiler can't be set as if it were a function.
        if hasattr(profiler, "enable") and hasattr(profiler, "disable"):
            profiler.disable()
            stack.callback(profiler.enable)
        else:
            _put_aside(stack, profiler, sys.setprofile)
        if sys.version_info >= (3, 12):
            _put_aside_monitoring(stack)
        yield


def _put_aside(stack: ExitStack, found: Any, change: Callable[[Any], None]) -> None:
    if found is not None:
        change(None)
        stack.callback(change, found)


if sys.version_info >= (3, 12):
    #: Tools of sys.monitoring have the numbers 0 to 5.
    _TOOLS = range(6)

    def _put_aside_monitoring(stack: ExitStack) -> None:
        monitoring = sys.monitoring
        tools = [tool for tool in _TOOLS if monitoring.get_tool(tool) is not None]
        codes = _loaded_code() if tools else []
        for tool in tools:
            if events := monitoring.get_events(tool):
                monitoring.set_events(tool, 0)
                stack.callback(monitoring.set_events, tool, events)
            # coverage sets the events of lines for each code object.
            for code in codes:
                if local := monitoring.get_local_events(tool, code):
                    monitoring.set_local_events(tool, code, 0)
                    stack.callback(monitoring.set_local_events, tool, code, local)

    def _loaded_code() -> list[CodeType]:
        """Return the code of every function, including functions within functions."""
        waiting = [
            thing.__code__ for thing in gc.get_objects() if type(thing) is FunctionType
        ]
        found: dict[int, CodeType] = {}
        while waiting:
            code = waiting.pop()
            if id(code) not in found:
                found[id(code)] = code
                waiting += [one for one in code.co_consts if isinstance(one, CodeType)]
        return list(found.values())
