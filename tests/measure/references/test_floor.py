"""The floor has the messages and bytes of a run, with stages that do nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.accounting import RunReport
from pipeline.batching import BatchLimits
from pipeline.engines.base import RunSettings
from pipeline.engines.monolith import MonolithEngine
from pipeline.engines.split import SplitEngine
from pipeline.errors import UsageError
from pipeline.inputs import Inputs
from pipeline.stages import INGEST
from pipeline.transport.processes import StageServers
from pipeline.workloads import workload_named
from pytest_pipeline.measure.references.floor import (
    filler_source,
    floor_of,
    floor_workload,
)
from tests.measure.references.conftest import EACH_WORKLOAD, Serve, SettingsOf


def run_of_floor(report: RunReport, settings: RunSettings, serve: Serve) -> RunReport:
    """Run the floor of a run on servers of its own."""
    workload, source = floor_of(report)
    return SplitEngine(serve(workload)).run(
        replace(settings, workload=workload, source=source, input="")
    )


@EACH_WORKLOAD
@pytest.mark.parametrize("batch_size", [1, 60])
def test_a_floor_has_the_messages_and_the_bytes_of_the_run(
    settings_of: SettingsOf, serve: Serve, workload: str, batch_size: int
) -> None:
    """The bytes to each stage differ by at most one for each batch."""
    settings = settings_of(workload, batch_size)
    real = SplitEngine(serve(settings.workload)).run(settings)

    floor = run_of_floor(real, settings, serve)

    assert (floor.batches, floor.records.ingested) == (
        real.batches,
        real.records.ingested,
    )
    assert list(floor.stages) == list(real.stages)
    for name, stage in real.stages.items():
        found = floor.stages[name]
        assert found.messages_in == stage.messages_in
        assert found.bytes_in == pytest.approx(stage.bytes_in, abs=real.batches)


def test_a_floor_passes_every_record(settings_of: SettingsOf, serve: Serve) -> None:
    """Its result is the number of records."""
    settings = settings_of("events", 60)
    real = SplitEngine(serve(settings.workload)).run(settings)

    floor = run_of_floor(real, settings, serve)

    assert floor.records.passed == floor.records.ingested == 250
    assert settings.output.read_bytes() == b'{"records":250}\n'


def test_records_are_divided_evenly_into_batches() -> None:
    """Records are divided evenly, and a maximum of records ends the source."""
    read = floor_workload(["only"]).source.read
    spec = filler_source(10, 4, [100, 3])

    batches = list(read(spec, BatchLimits(1), 0, Inputs()))
    first = list(read(spec, BatchLimits(1), 6, Inputs()))

    assert [batch.records for batch in batches] == [2, 3, 2, 3]
    assert [batch.records for batch in first] == [2, 3, 1]
    assert {len(batch.message.body) for batch in batches} == {100}


def test_each_stage_sends_the_bytes_of_its_leg() -> None:
    """A batch lists the sizes of the following legs, so that stages need no state."""
    workload = floor_workload(["narrow", "wide"])
    (output,) = workload.source.read(
        filler_source(7, 1, [9, 2, 500]), BatchLimits(), 0, Inputs()
    )
    sizes = [len(output.message.body)]

    for stage in workload.transforms:
        output = stage(output.message)
        sizes.append(len(output.message.body))

    assert sizes == [9, 2, 500]
    assert output.records == 7


@pytest.mark.parametrize("names", [["of"], ["a-b", "c d", "_read"]])
def test_a_floor_is_found_by_its_name(names: list[str]) -> None:
    """A server process finds it by its name, with stages of any names."""
    floor = floor_workload(names)

    assert workload_named(floor.name).stage_names == (INGEST, *names, "sink")


def test_servers_of_a_floor_serve_any_run_with_those_stages(
    settings_of: SettingsOf,
) -> None:
    """Only the source depends on the run that it is the floor of."""
    floor = floor_workload(["parse", "rules", "aggregate"])
    settings = settings_of("events", 60)
    folders = {"sink": [settings.output.parent]}

    with StageServers(floor.name, floor.stage_names, folders=folders) as servers:
        for source in (filler_source(9, 3, [1, 2, 3, 4]), filler_source(5, 5, [0] * 4)):
            report = SplitEngine(servers.addresses).run(
                replace(settings, workload=floor, source=source, input="")
            )
            assert report.batches == source.batches


def test_a_run_without_legs_has_no_floor(settings_of: SettingsOf) -> None:
    """The monolith sends no messages."""
    report = MonolithEngine().run(settings_of("events", 60))

    with pytest.raises(UsageError, match="no batch went to stage sink over a leg"):
        floor_of(report)


def test_a_name_with_a_comma_is_refused() -> None:
    """In the name of the floor, a comma separates stages."""
    with pytest.raises(UsageError, match=r"stage 'a,b': .* comma"):
        floor_workload(["a,b"])
