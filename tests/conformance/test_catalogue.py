"""The catalogue of checks, and the faults that a check must not blame on a stage."""

from __future__ import annotations

import asyncio
import hashlib
import re
from importlib.resources import files
from itertools import chain, repeat
from typing import Any

import pytest

from pytest_pipeline.conformance import checked_call
from pytest_pipeline.conformance.catalogue import CHECKS, REQUIRED, REQUIRED_FILES
from pytest_pipeline.conformance.check import Check
from pytest_pipeline.conformance.checked_call import CheckedCall
from pytest_pipeline.conformance.errors import HarnessFaultError
from pytest_pipeline.conformance.stage_under_test import Kind


@pytest.mark.parametrize(
    ("kind", "digest"),
    [
        ("ingest", "c170162daa0ec478c94477d81067b3dc5dd9f2028fe464367e8a1d988f934ebb"),
        (
            "transform",
            "f2adf1db48e2b934094a68f5ccf3e71b582c903544738ce496b914504e427e10",
        ),
        ("sink", "805ecfa4dec6d66ae62febb37b2fd8ad9d4457a42cd77529dbe0a423051135d5"),
    ],
)
def test_the_list_of_required_checks_is_frozen(kind: Kind, digest: str) -> None:
    """Stages rely on it, so a check that is added later is not required by v1."""
    listed = files("pytest_pipeline.conformance") / REQUIRED_FILES[kind]

    assert hashlib.sha256(listed.read_bytes()).hexdigest() == digest


def test_every_required_check_exists() -> None:
    """One check was added later and is not required."""
    added = {kind: set(CHECKS[kind]) - REQUIRED[kind] for kind in CHECKS}

    assert added == {"ingest": set(), "transform": {"timing.plausible"}, "sink": set()}
    assert all(set(CHECKS[kind]) >= REQUIRED[kind] for kind in CHECKS)


def test_each_check_has_an_id_and_a_reason_of_one_sentence() -> None:
    """The id has two parts, and the reason has one full stop, at its end."""
    for check in chain.from_iterable(checks.values() for checks in CHECKS.values()):
        assert re.fullmatch(r"[a-z]+\.[a-z]+(-[a-z]+)*", check.id), check.id
        why = check.why.replace('".."', "")
        assert re.fullmatch(r"[A-Z][^.]{20,}\.", why), check.id


def test_a_check_that_kinds_share_is_the_same_check() -> None:
    """An id means one thing, whatever the kind of stage."""
    by_id: dict[str, Check[Any]] = {}
    for checks in CHECKS.values():
        for check_id, check in checks.items():
            assert by_id.setdefault(check_id, check) is check


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
