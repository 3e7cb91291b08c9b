"""The pool shares servers among equal specifications, and ends all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import StageError
from pipeline.workloads import workload_named
from pytest_pipeline.options import PipelineSettings
from pytest_pipeline.servers.leaks import Owned, left_behind, snapshot
from pytest_pipeline.servers.pool import ServerPool
from pytest_pipeline.servers.specification import stage_spec, stage_specs

EVENTS = workload_named("events")
SETTINGS = PipelineSettings()
PARSE = stage_spec(SETTINGS, EVENTS, "parse")


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[ServerPool]:
    """A pool of its own for each test."""
    pool = ServerPool(tmp_path)
    yield pool
    pool.close()


def test_equal_specifications_share_one_server(pool: ServerPool) -> None:
    """Within one request and in later ones; settings of other things don't matter."""
    rules = stage_spec(SETTINGS, EVENTS, "rules")
    patient = stage_spec(
        replace(SETTINGS, start_timeout=60.0, events=7), EVENTS, "parse"
    )

    first, other, second = pool.shared([PARSE, rules, PARSE])
    (third,) = pool.shared([patient])

    assert first is second is third
    assert (first.name, other.name) == ("parse", "rules")
    assert len(pool.servers) == 2


def test_a_server_that_is_released_is_not_shared(pool: ServerPool) -> None:
    """It is ended for the caller alone."""
    own = pool.start(PARSE)
    (shared,) = pool.shared([PARSE])

    pool.release(own)

    assert own.address != shared.address
    assert (own.ending, shared.health) == ("stopped", "SERVING")
    assert pool.servers == [shared]


def test_if_one_server_does_not_start_none_is_left_running(pool: ServerPool) -> None:
    """The others can be started by a later request."""
    broken = replace(SETTINGS, servers="subprocess", stage=(("rules", "true"),))
    before = snapshot()

    with pytest.raises(StageError, match="rules did not start: ended with exit code 0"):
        pool.shared(stage_specs(broken, EVENTS, ["parse", "rules"]))

    assert pool.servers == []
    assert left_behind(before, Owned()) == []
    assert [server.health for server in pool.shared([PARSE])] == ["SERVING"]
