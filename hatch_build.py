"""Compile the sources in C into the wheel, where there is a C compiler.

Without one, or with PIPELINE_PURE=1, the wheel is one of pure Python, which gives the
same results more slowly.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_SOURCES = (
    Path("pipeline", "line_ends.c"),
    Path("pipeline", "workloads", "work_items", "loops.c"),
)
# No product may be fused with a sum, which would change the bits of the results.
_FLAGS = ("-O3", "-ffp-contract=off", "-fno-fast-math", "-shared", "-fPIC")


def compile_source(source: Path, library: Path) -> str:
    """Compile ``source``; return why that is not possible, or nothing."""
    if sys.maxsize < 2**32:
        return "32-bit processors may compute with more bits than a double has"
    if sys.byteorder != "little":
        return "the processor is big-endian and columns are not"
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        return "there is no C compiler"
    command = [compiler, *_FLAGS, "-o", str(library), str(source), "-lm"]
    done = subprocess.run(command, capture_output=True, check=False, text=True)  # noqa: S603
    return "" if done.returncode == 0 else f"{compiler} failed: {done.stderr.strip()}"


class CustomBuildHook(BuildHookInterface[Any]):
    """Adds the library to the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Compile before the files of the wheel are collected."""
        if os.environ.get("PIPELINE_PURE") == "1":
            return
        libraries = {}
        for source in _SOURCES:
            library = source.with_name(f"_{source.stem}.so")
            reason = compile_source(self.root / source, self.root / library)
            if reason:
                self.app.display_warning(f"slower, without machine code: {reason}")
                return
            libraries[str(self.root / library)] = str(library)
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        # It uses nothing of Python, and so serves any version.
        build_data["tag"] = f"py3-none-{platform}"
        build_data["pure_python"] = False
        build_data["force_include"].update(libraries)
