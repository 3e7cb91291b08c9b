"""Calls stage functions, for whoever counts the instructions of this process.

``python -m pytest_pipeline.measure.counts.calls WORKLOAD FOLDER STAGE=CALLS…``: the
folder has the message that each stage is given.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path

from pipeline.workloads import workload_named


def main(workload_name: str, folder: str, *calls: str) -> None:
    """Call each stage as often as is said."""
    workload = workload_named(workload_name)
    plan = []
    for word in calls:
        name, _, number = word.partition("=")
        stage = workload.transform(name)
        message = stage.takes.FromString((Path(folder) / name).read_bytes())
        plan.append((stage, message, int(number)))
    # When garbage is collected depends on all that came before.
    gc.disable()
    for stage, message, count in plan:
        for _ in range(count):
            stage(message)


if __name__ == "__main__":
    main(*sys.argv[1:])
