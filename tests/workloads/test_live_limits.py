"""Every source follows limits that change while it is read."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf.message import Message

from pipeline.batching import LiveLimits
from pipeline.inputs import Inputs
from pipeline.workloads import workload_named
from pipeline.workloads.events.generate import generate_events

SIZES = (1, 8, 3, 20)


def spec_of(name: str, folder: Path) -> Message:
    """Return the spec of a source of 100 records."""
    describe = workload_named(name).source.describe
    spec: Message
    if name != "events":
        spec = describe(records=100)
    else:
        path = folder / "events"
        path.write_bytes(b"".join(generate_events(100, seed=1)))
        spec = describe(path=path)
    return spec


@pytest.mark.parametrize("name", ["events", "work-items", "mixed"])
def test_each_batch_has_as_many_records_as_the_limits_say_then(
    tmp_path: Path, name: str
) -> None:
    """The limits change after each batch, as they do at batch size auto."""
    limits = LiveLimits(SIZES[0], 1 << 20)
    outputs = workload_named(name).source.read(
        spec_of(name, tmp_path), limits, 0, Inputs()
    )

    sizes = []
    for output, following in zip(outputs, (*SIZES[1:], 100), strict=False):
        sizes.append(output.records)
        limits.change(following, 1 << 20)

    assert sizes == list(SIZES)
