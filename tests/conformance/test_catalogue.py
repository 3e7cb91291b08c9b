"""The catalogue of checks, and the faults that a check must not blame on a stage."""

from __future__ import annotations

import asyncio
import hashlib
import re
from importlib.resources import files
from itertools import chain, repeat

import pytest

from pytest_pipeline.conformance import checked_call
from pytest_pipeline.conformance.catalogue import CHECKS, CONTRACT, REQUIRED
from pytest_pipeline.conformance.checked_call import CheckedCall
from pytest_pipeline.conformance.errors import HarnessFaultError


def test_the_list_of_required_checks_is_frozen() -> None:
    """Stages rely on it, so a check that is added later is not required by v1."""
    listed = files("pytest_pipeline.conformance") / f"required_{CONTRACT}.txt"

    assert hashlib.sha256(listed.read_bytes()).hexdigest() == (
        "f2adf1db48e2b934094a68f5ccf3e71b582c903544738ce496b914504e427e10"
    )


def test_every_required_check_exists() -> None:
    """One check was added later and is not required."""
    assert set(CHECKS) - REQUIRED == {"timing.plausible"}
    assert set(CHECKS) >= REQUIRED


@pytest.mark.parametrize("check_id", CHECKS)
def test_each_check_has_an_id_and_a_reason_of_one_sentence(check_id: str) -> None:
    """The id has two parts, and the reason has one full stop, at its end."""
    assert re.fullmatch(r"[a-z]+\.[a-z]+(-[a-z]+)*", check_id)
    assert re.fullmatch(r"[A-Z][^.]{20,}\.", CHECKS[check_id].why)


def test_a_wait_that_takes_far_too_long_is_a_fault_of_the_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A wait that ends on time without a result is not."""
    times = chain([0.0, 5.0], repeat(5.0))
    monkeypatch.setattr(checked_call, "now", lambda: next(times))

    async def wait_in_vain() -> bool:
        nothing = asyncio.get_running_loop().create_future()
        return await CheckedCall.within(0.001, nothing)

    with pytest.raises(HarnessFaultError, match="this machine stood still"):
        asyncio.run(wait_in_vain())
    assert not asyncio.run(wait_in_vain())
