"""A comparison of languages with realistic results."""

from __future__ import annotations

from typing import Any

import numpy as np

from pytest_pipeline.measure.results import LanguageRuns, Measured


def language_runs(language: str, batch_size: int, per_s: float) -> LanguageRuns:
    """Return twelve rounds around a throughput, with the noise of that language."""
    noise = np.random.default_rng(sum(map(ord, language))).normal(0, 0.02, 12)
    return LanguageRuns(
        language=language,
        batch_size=batch_size,
        records=50_000,
        throughput_per_s=[per_s * (1 + float(error)) for error in noise],
        cpu_s={"parse": 1.5e-6, "rules": 0.5e-6},
        driver_cpu_s=1e-6,
        peak_rss_bytes={"parse": 50 * 2**20, "rules": 30 * 2**20},
    )


def languages() -> list[tuple[str, Measured]]:
    """Return a comparison of languages: events, work items, and parse alone."""
    factors = {"python": 1.0, "rust": 1.5, "rust-debug": 1.2, "typescript": 1.4}
    work = {"python": 1.0, "rust": 4.0, "rust-debug": 0.9, "typescript": 1.0}

    def measured(
        name: str,
        per_s: float,
        of: dict[str, float],
        batch_size: int,
        **what: Any,
    ) -> tuple[str, Measured]:
        return name, Measured(
            group="languages",
            languages=[
                language_runs(language, batch_size or 5000, per_s * factor)
                for language, factor in of.items()
            ],
            batch_size=batch_size,
            **what,
        )

    return [
        measured("test_events[100]", 1e5, factors, 100, workload="events"),
        measured("test_events[1000]", 5e5, factors, 1000, workload="events"),
        measured(
            "test_events_at_the_best_batch_size", 7e5, factors, 0, workload="events"
        ),
        *(
            measured(
                f"test_work_items[{iterations}]",
                1e6 / iterations,
                work,
                10,
                workload="work-items",
                iterations=iterations,
            )
            for iterations in (100, 50_000)
        ),
        measured(
            "test_stage_alone[parse-1000]",
            1e6,
            {"python": 1.0, "rust": 5.0},
            1000,
            workload="events",
            stage="parse",
        ),
    ]
