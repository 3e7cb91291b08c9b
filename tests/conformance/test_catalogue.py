"""The list of checks: what it promises, and what it can't be made to do."""

from __future__ import annotations

import asyncio
import hashlib
import re
from importlib.resources import files
from itertools import chain, repeat
from pathlib import Path

import pytest

from pytest_pipeline.conformance import checked_call
from pytest_pipeline.conformance.catalogue import CHECKS, CONTRACT, REQUIRED
from pytest_pipeline.conformance.checked_call import CheckedCall
from pytest_pipeline.conformance.errors import HarnessFaultError


def test_what_the_contract_requires_is_frozen() -> None:
    """Stages rely on it: later checks are reported, and go into no list of v1."""
    listed = files("pytest_pipeline.conformance") / f"required_{CONTRACT}.txt"

    assert hashlib.sha256(listed.read_bytes()).hexdigest() == (
        "f2adf1db48e2b934094a68f5ccf3e71b582c903544738ce496b914504e427e10"
    )


def test_what_is_required_is_checked() -> None:
    """And there is a later check, which is not required."""
    assert set(CHECKS) - REQUIRED == {"timing.plausible"}
    assert set(CHECKS) >= REQUIRED


@pytest.mark.parametrize("check_id", CHECKS)
def test_each_check_says_why_in_one_sentence(check_id: str) -> None:
    """Its id is two words of letters and dashes, its reason ends where it should."""
    assert re.fullmatch(r"[a-z]+\.[a-z]+(-[a-z]+)*", check_id)
    assert re.fullmatch(r"[A-Z][^.]{20,}\.", CHECKS[check_id].why)


@pytest.mark.parametrize("check_id", CHECKS)
def test_each_check_is_on_the_page(check_id: str) -> None:
    """With the same reason."""
    page = (Path(__file__).parents[2] / "docs" / "conformance.md").read_text()

    assert f"| `{check_id}` | {CHECKS[check_id].why} |\n" in page


def test_a_machine_that_stands_still_is_no_fault_of_the_stage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A wait that takes far longer than it was to is told apart from one in vain."""
    times = chain([0.0, 5.0], repeat(5.0))
    monkeypatch.setattr(checked_call, "now", lambda: next(times))

    async def wait_in_vain() -> bool:
        nothing = asyncio.get_running_loop().create_future()
        return await CheckedCall.within(0.001, nothing)

    with pytest.raises(HarnessFaultError, match="this machine stood still"):
        asyncio.run(wait_in_vain())
    assert not asyncio.run(wait_in_vain())
