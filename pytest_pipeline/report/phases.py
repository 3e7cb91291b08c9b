"""Where the time of a stage went, as shares."""

from __future__ import annotations

from pipeline.accounting import RunReport, StageReport

PHASES = ("decode", "process", "encode", "send", "wait", "idle")


def shares(run: RunReport, stage: StageReport) -> dict[str, float]:
    """Return each phase's share of the time that the stage's servers had in a run.

    ``wait`` is for input while the stream is open; ``idle`` is what is left of the
    run, before the stream opens and after it ends. They add up to 1.
    """
    seconds = stage.seconds
    spent = {
        "decode": seconds.decode,
        "process": seconds.process,
        "encode": seconds.encode,
        "send": seconds.send,
        "wait": seconds.wait,
    }
    served = sum(spent.values())
    # Laps are cut by the stage's clock, the run by the orchestrator's.
    whole = max(run.elapsed_s * stage.replicas, served) or 1.0
    found = {phase: value / whole for phase, value in spent.items()}
    return {**found, "idle": 1 - served / whole}


def busy(run: RunReport, stage: StageReport) -> float:
    """Return the share of its time in which a stage neither waited nor was idle."""
    found = shares(run, stage)
    return 1 - found["wait"] - found["idle"]
