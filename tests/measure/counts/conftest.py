"""Fixtures of the tests of counts: few records, and an engine that writes too much."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.engines import orchestrator
from pipeline.engines.legs import InFlightBatch, TransformLeg
from pipeline.transport.client import Call
from pipeline.v1.pipeline_pb2 import Batch
from pipeline.workloads.events import EVENTS
from pipeline.workloads.events.generate import generate_events
from pytest_pipeline.measure.counts.traffic import counted_dataset
from pytest_pipeline.measure.dataset import Dataset

DATA = b"".join(generate_events(205, seed=1, users=5, malformed=0.1))


class WastefulLeg(TransformLeg):
    """Writes every hundredth batch twice, without counting it.

    The second reply is dropped, so that the result is right.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._call: Any = _OnceEach(self._call)

    async def send(self, batch: InFlightBatch, raw: bytes) -> None:
        """Send a batch."""
        await super().send(batch, raw)
        if batch.message.number % 100 == 99:
            await self._call.send(raw)


class _OnceEach:
    """A call that drops the second reply to a batch."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._replied = -1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)

    async def receive(self) -> bytes | None:
        """Return the reply to the next batch."""
        while (raw := await self._call.receive()) is not None:
            if Batch.FromString(raw).number > self._replied:
                break
        self._replied += 1
        return raw


@pytest.fixture
def wasteful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the split write one more batch in every hundred, on every leg."""
    monkeypatch.setattr(orchestrator, "TransformLeg", WastefulLeg)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """205 events; some of them are malformed."""
    return counted_dataset(EVENTS, tmp_path, DATA)
