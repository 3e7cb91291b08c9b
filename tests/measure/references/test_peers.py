"""Arrow Flight and Bytewax give the results of the monolith, if they are installed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.engines.base import Engine, RunSettings
from pipeline.engines.monolith import MonolithEngine
from pipeline.errors import PipelineError, SinkError, SourceError
from pipeline.workload import Workload
from pipeline.workloads import workload_named
from pipeline.workloads.events import EVENTS
from tests.measure.references.conftest import EACH_WORKLOAD, SettingsOf

EngineOf = Callable[[Workload], AbstractContextManager[Engine]]
RAISING = "tests.measure.references.test_queues:RAISING"
MISCOUNTING = "tests.measure.references.test_queues:MISCOUNTING"


def flight_of(workload: Workload) -> AbstractContextManager[Engine]:
    """Return the engine of Arrow Flight; skip without pyarrow."""
    pytest.importorskip("pyarrow.flight")
    from pytest_pipeline.measure.references.flight import FlightEngine

    return FlightEngine(workload)


def bytewax_of(_: Workload) -> AbstractContextManager[Engine]:
    """Return the engine of Bytewax; skip without it."""
    pytest.importorskip("bytewax.dataflow")
    from pytest_pipeline.measure.references.dataflow import BytewaxEngine

    return nullcontext(BytewaxEngine())


EACH_PEER = pytest.mark.parametrize("engine_of", [flight_of, bytewax_of])


def outcome(engine: Engine, run: RunSettings) -> Any:
    """Return what must not depend on the engine."""
    report = engine.run(run)
    assert run.rejects is not None
    found = run.output.read_bytes(), run.rejects.read_bytes()
    return found, report.batches, report.records, report.rejections


@EACH_PEER
@EACH_WORKLOAD
def test_a_peer_gives_the_results_of_the_monolith(
    settings_of: SettingsOf, workload: str, engine_of: EngineOf
) -> None:
    """Result, rejects and counts are equal at each batch size."""
    with engine_of(workload_named(workload)) as engine:
        for batch_size in (1, 60, 1000):
            run = settings_of(workload, batch_size)

            assert outcome(engine, run) == outcome(MonolithEngine(), run)


@EACH_PEER
@pytest.mark.parametrize(
    ("workload", "said"), [(RAISING, "no luck"), (MISCOUNTING, "but answered")]
)
def test_a_stage_that_fails_ends_the_run_of_a_peer(
    settings_of: SettingsOf,
    tmp_path: Path,
    workload: str,
    said: str,
    engine_of: EngineOf,
) -> None:
    """The error says why, and no file is left."""
    run = replace(settings_of("events", 10), workload=workload_named(workload))
    files = sorted(tmp_path.iterdir())

    with engine_of(run.workload) as engine, pytest.raises(PipelineError, match=said):
        engine.run(run)

    assert sorted(tmp_path.iterdir()) == files


@EACH_PEER
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"output": "missing/result"}, SinkError),
        ({"source": "missing"}, SourceError),
        ({"source": "empty"}, SourceError),
    ],
)
def test_ingest_and_sink_of_a_peer_fail_as_those_of_the_monolith(
    settings_of: SettingsOf,
    tmp_path: Path,
    changes: dict[str, str],
    error: type[Exception],
    engine_of: EngineOf,
) -> None:
    """The message is the same, and no file is left."""
    run = settings_of("events", 10)
    (tmp_path / "empty").touch()
    if name := changes.get("source"):
        source = type(run.source)(path=str(tmp_path / name), max_line_bytes=1000)
        run = replace(run, source=source)
    if name := changes.get("output"):
        run = replace(run, output=tmp_path / name)
    with pytest.raises(error) as expected:
        MonolithEngine().run(run)
    files = sorted(tmp_path.iterdir())

    with engine_of(EVENTS) as engine, pytest.raises(error) as found:
        engine.run(run)

    assert str(found.value) == str(expected.value)
    assert sorted(tmp_path.iterdir()) == files
