"""What machine this is, for whoever reads a figure that was measured on it."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pytest_pipeline.measure.results import Machine

#: Distributions whose version a figure depends on.
_DISTRIBUTIONS = (
    "pytest-grpc-pipeline",
    "grpcio",
    "protobuf",
    "msgspec",
    "numpy",
    "scipy",
    "pytest",
    "pytest-benchmark",
)


def this_machine() -> Machine:
    """Return what the figures of this process depend on."""
    versions = {}
    for name in _DISTRIBUTIONS:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return Machine(
        system=f"{platform.system()} {platform.release()}",
        processor=_processor(),
        cores=len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1,
        python=f"{platform.python_implementation()} {platform.python_version()}",
        versions=versions,
    )


def _processor() -> str:
    # Linux tells the model here only.
    about = Path("/proc/cpuinfo")
    if about.exists():
        for line in about.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
