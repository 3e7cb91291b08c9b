"""Describe the machine that benchmarks run on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pytest_pipeline.measure.results import Machine

#: Distributions whose version affects what is measured.
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
    """Return the machine, with the versions of Python and of installed libraries."""
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
    # On Linux, `platform` does not know the model.
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
