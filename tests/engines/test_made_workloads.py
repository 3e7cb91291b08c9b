"""The workloads that make their records: the split gives what the monolith gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.batching import BatchLimits
from pipeline.engines.base import RunSettings
from pipeline.engines.monolith import MonolithEngine
from pipeline.engines.split import SplitEngine
from pipeline.transport.processes import StageServers
from pipeline.workload import Workload
from pipeline.workloads.mixed import MIXED
from pipeline.workloads.mixed.source import mixed_source
from pipeline.workloads.work_items import WORK_ITEMS, work_item_source

REPLICATED = ("parse", "rules", "aggregate")
WORK_SOURCE = work_item_source(records=150, payload_size="small", iterations=20)
MIXED_SOURCE = mixed_source(records=150, work_ratio=0.3, iterations=20)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((WORK_ITEMS, WORK_SOURCE), id="work-items"),
        pytest.param((MIXED, MIXED_SOURCE), id="mixed"),
    ],
)
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[RunSettings, dict[str, list[str]]]]:
    """A run and the addresses of two server processes for each transform stage."""
    workload: Workload
    workload, source = request.param
    folder = tmp_path_factory.mktemp(workload.name)
    run = RunSettings(
        workload=workload, source=source, input="", output=folder / "out.ndjson"
    )
    stages = [*workload.stage_names, *REPLICATED]
    with StageServers(workload.name, stages, folders={"sink": [folder]}) as servers:
        yield run, servers.addresses


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("batch_size", [1, 7, 100, 1000])
def test_server_processes_give_the_bytes_of_the_monolith(
    made: tuple[RunSettings, dict[str, list[str]]],
    tmp_path: Path,
    batch_size: int,
    replicas: int,
) -> None:
    """Item by item or in batches, from one server a stage or from two."""
    settings, addresses = made
    one_by_one = replace(settings, output=tmp_path / "out", limits=BatchLimits(1))
    MonolithEngine().run(one_by_one)

    report = SplitEngine(
        {name: found[:replicas] for name, found in addresses.items()}
    ).run(replace(settings, limits=BatchLimits(batch_size)))

    assert settings.output.read_bytes() == one_by_one.output.read_bytes()
    assert report.records.ingested == 150
