"""The shipped suite of conformance passes for all stages in each language."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pipeline.languages import Language

ROOT = Path(__file__).parent.parent.parent


def test_every_stage_keeps_the_contract(language: Language) -> None:
    """For both workloads; what skips is declared."""
    declarations = ROOT / "stages" / language.folder / "conformance.toml"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider"),
            *("-n", "2", "-ra", "--pyargs", "pytest_pipeline.suite.conformance"),
            *("--pipeline-stages", language.name),
            *("--pipeline-workload", "events,work-items"),
            *("--pipeline-declarations", str(declarations)),
        ],
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
    )

    assert done.returncode == 0, done.stdout[-5000:]
    skips = [line for line in done.stdout.splitlines() if line.startswith("SKIPPED")]
    assert all("declared: it takes messages of any size" in line for line in skips)
