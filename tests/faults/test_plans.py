"""The faults that a seed draws."""

from __future__ import annotations

from tests.faults.plan import INPUT, KINDS_OF, ORCHESTRATOR, draw_plan

PLANS = [draw_plan(seed) for seed in range(1000)]
FAULTS = [fault for plan in PLANS for fault in plan.faults]


def test_a_seed_draws_the_same_plan_again() -> None:
    """So a run that failed can be repeated."""
    assert [draw_plan(seed) for seed in range(1000)] == PLANS


def test_a_thousand_seeds_draw_all_that_can_go_wrong() -> None:
    """Each kind of each target, from one to three faults, on one and two replicas."""
    drawn = {(fault.target, fault.kind) for fault in FAULTS}

    assert drawn == {(target, kind) for target in KINDS_OF for kind in KINDS_OF[target]}
    assert {len(plan.faults) for plan in PLANS} == {1, 2, 3}
    assert {plan.replicas for plan in PLANS} == {1, 2}


def test_the_orchestrator_is_never_paused_for_ever() -> None:
    """Such a run can't end."""
    of_orchestrator = [fault for fault in FAULTS if fault.target == ORCHESTRATOR]

    assert all(fault.seconds is not None for fault in of_orchestrator)


def test_the_input_is_truncated_only_once_it_is_read() -> None:
    """Before that, it would just be another input."""
    of_input = [fault for fault in FAULTS if fault.target == INPUT]

    assert all(fault.moment.at > 0 for fault in of_input)
