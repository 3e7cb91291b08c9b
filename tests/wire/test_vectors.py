"""The golden vectors are what the stages in Python give."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from pipeline.workloads.events.parse import REASONS
from tests.wire.vectors import FOLDER, encoded, vectors

VECTORS = vectors()


@pytest.mark.parametrize("name", sorted(VECTORS))
def test_each_file_is_what_python_gives(name: str) -> None:
    """A change of a result must show in these files, which other languages read."""
    assert (FOLDER / f"{name}.json").read_text() == encoded(VECTORS[name]), (
        "a result has changed; python -m tests.wire.vectors writes the files again"
    )


def test_there_is_no_other_file() -> None:
    """A file that nothing writes would go stale."""
    assert {path.stem for path in FOLDER.glob("*.json")} == set(VECTORS)


def test_every_reason_of_a_rejection_is_in_the_vectors() -> None:
    """Other languages learn from them which lines are refused, and why."""
    stages = json.loads((FOLDER / "stages.json").read_text())
    reasons = Counter(one["reason"] for reply in stages for one in reply["rejections"])

    assert set(reasons) == {*REASONS, "empty_vector", "not_finite"}
