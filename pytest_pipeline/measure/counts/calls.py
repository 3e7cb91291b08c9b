"""Call stage functions in a process whose instructions are counted.

``python -m pytest_pipeline.measure.counts.calls WORKLOAD FOLDER STAGE=CALLS…``, where
the folder has a file for each stage with the serialized message to call it with.

It is a program of its own so that the process executes little else.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path

from pipeline.workloads import workload_named


def main(workload_name: str, folder: str, *calls: str) -> None:
    """Call each stage function; each of ``calls`` is ``STAGE=CALLS``."""
    workload = workload_named(workload_name)
    plan = []
    for word in calls:
        name, _, number = word.partition("=")
        stage = workload.transform(name)
        message = stage.takes.FromString((Path(folder) / name).read_bytes())
        plan.append((stage, message, int(number)))
    # When the collector runs depends on all allocations before.
    gc.disable()
    for stage, message, count in plan:
        for _ in range(count):
            stage(message)


if __name__ == "__main__":
    main(*sys.argv[1:])
