"""A sink that is lost while it publishes: has it published?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.engines.commit import commit
from pipeline.errors import LostStageError
from pipeline.publishing import write_whole


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """The output of an earlier run."""
    path = tmp_path / "out"
    path.write_text("earlier")
    return path


async def replies(publish: Callable[[], None]) -> None:
    """Publish, and reply."""
    publish()


async def is_lost(publish: Callable[[], None]) -> None:
    """Publish, or not, and be lost."""
    publish()
    raise LostStageError("stage sink at unix:s is lost: ended by SIGKILL")


def ended() -> bool:
    """End the sink, which this run has started."""
    return True


def nothing() -> None:
    """Publish nothing."""


def test_a_sink_that_replies_has_published(output: Path) -> None:
    """And nobody ends it."""

    def refuse() -> bool:
        raise AssertionError("ended")

    reply = replies(lambda: write_whole(output, b"new"))

    assert asyncio.run(commit(reply, output, refuse)) is None


@pytest.mark.parametrize("is_there", [True, False], ids=["earlier", "none"])
def test_a_sink_that_is_lost_after_it_has_published_fails_no_run(
    output: Path, is_there: bool
) -> None:
    """Even if the new result is the earlier one."""
    if not is_there:
        output.unlink()

    lost = is_lost(lambda: write_whole(output, b"earlier"))

    assert asyncio.run(commit(lost, output, ended)) is not None


def test_a_sink_may_publish_until_it_has_ended(output: Path) -> None:
    """So the output is looked at after that."""

    def publishes_and_ends() -> bool:
        write_whole(output, b"new")
        return True

    assert asyncio.run(commit(is_lost(nothing), output, publishes_and_ends)) is not None


@pytest.mark.parametrize("is_there", [True, False], ids=["earlier", "none"])
def test_a_sink_that_is_lost_before_it_publishes_fails_the_run(
    output: Path, is_there: bool
) -> None:
    """With the reason for which it was lost."""
    if not is_there:
        output.unlink()

    with pytest.raises(LostStageError, match=r"ended by SIGKILL$"):
        asyncio.run(commit(is_lost(nothing), output, ended))


def test_a_lost_sink_of_somebody_else_is_said_to_have_published_maybe(
    output: Path,
) -> None:
    """Its file may be on another machine, and it may publish later."""
    with pytest.raises(LostStageError, match=r"may have published .*/out before"):
        asyncio.run(
            commit(is_lost(lambda: write_whole(output, b"new")), output, lambda: False)
        )
