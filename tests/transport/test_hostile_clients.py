"""Servers under attack by twelve kinds of clients at once."""

from __future__ import annotations

from tests.transport.hostile_clients import ATTACKS, attack_for


def test_runs_under_attack_have_the_right_result() -> None:
    """No server dies, and each kind of client had its turn."""
    seen = attack_for(seconds=2)

    assert len(ATTACKS) == 12
    assert all(seen.attacks.values())
    assert (seen.wrong_results, seen.dead, seen.unanswered_health) == (0, [], 0)
    assert seen.runs >= 1
