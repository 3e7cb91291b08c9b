"""The scenario `polyglot` of the demo: stages in each language, in turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from pipeline.cli.demo_output import PolyglotTable
from pipeline.cli.demo_runs import runs_of_events
from pipeline.cli.progress import Schedule
from pipeline.engines.split import SplitEngine
from pipeline.languages import LANGUAGES, MIX, PYTHON, programs_of
from pipeline.transport.processes import StageServers
from pipeline.workloads.events import EVENTS

#: Batch sizes, and the most events of a run at each.
SIZES = {1: 1000, 100: 50_000, 1000: 1_000_000}
#: The lowest and the highest of six ratios enclose their median with 97 % confidence.
ROUNDS = 6
_ROUND_S = 2.0

Programs = Mapping[str, Sequence[str]]


def polyglot(events: int, folder: Path, console: Console) -> None:
    """Run events with stages in each language, and compare them with Python's.

    Raises:
        ConservationError: Two languages gave different results.
    """
    variants = _variants(console)
    schedule = Schedule(len(SIZES) * ROUNDS * _ROUND_S)
    runs = runs_of_events(events, folder, schedule)
    console.print(
        f"Up to {events:,} events, {ROUNDS} rounds in turns; {schedule}. Ratio: times "
        f"the throughput with stages in Python, as median and "
        f"{1 - 2 / 2**ROUNDS:.0%} interval. CPU: of all stages, for each event. The "
        f"orchestrator is in Python in each run, and takes its time too."
    )
    folders = {stage: [folder] for stage in EVENTS.stage_names}
    with ExitStack() as stack:
        engines = {}
        for name, programs in variants.items():
            servers = stack.enter_context(
                StageServers(
                    EVENTS.name, EVENTS.stage_names, folders=folders, programs=programs
                )
            )
            engines[name] = SplitEngine(servers.addresses)
        table = PolyglotTable(list(variants), console)
        for size, most in SIZES.items():
            rounds = []
            for number in range(ROUNDS):
                # Every other round goes backwards, so that a machine that slows down
                # favours no language.
                order = list(variants)[:: -1 if number % 2 else 1]
                reports = {
                    name: runs.run(engines[name], size, name, min(events, most))
                    for name in order
                }
                schedule.advance(_ROUND_S)
                rounds.append([reports[name] for name in variants])
            table.add(rounds)
    console.print("All results are the same, byte for byte.")


def _variants(console: Console) -> dict[str, Programs]:
    """Return the programs of each language that can be built, and of the mix."""
    variants: dict[str, Programs] = {PYTHON: {}}
    for name, language in LANGUAGES.items():
        if not language.is_built() and (why := language.missing_toolchain()):
            console.print(f"{name} is left out: {why}")
            continue
        language.build(lambda step, name=name: console.print(f"{name}: {step}"))  # type: ignore[misc]
        variants[name] = programs_of(name, EVENTS)
    if variants.keys() >= LANGUAGES.keys():
        variants["a mix"] = programs_of(MIX, EVENTS)
    return variants
