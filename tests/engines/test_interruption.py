"""How a run is driven in an event loop of its own."""

from __future__ import annotations

import asyncio

from pipeline.engines.interruption import run_until_interrupted


def test_a_run_is_the_only_task_of_its_event_loop() -> None:
    """At its end it waits for all others, which would take a second for each run."""

    async def others() -> set[asyncio.Task[object]]:
        current = asyncio.current_task()
        return {task for task in asyncio.all_tasks() if task is not current}

    assert not run_until_interrupted(others())
