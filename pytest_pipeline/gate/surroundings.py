"""The environment variables of a side, and the folder for temporary files.

A side sees neither the other side nor the working tree through them.
"""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_pipeline.gate.arguments import (
    in_a_side,
    paths_in,
    relative_to_top,
    without_gate_options,
)
from pytest_pipeline.gate.errors import GateUsageError
from pytest_pipeline.gate.worker import ORIGIN

# Prefixes of variables that are about the outer session and its environment.
_DROPPED = (
    # Another Python, its packages and caches, or a slower one.
    *("PYTHONHOME", "PYTHONEXECUTABLE", "PYTHONPLATLIBDIR", "PYTHONUSERBASE"),
    *("PYTHONPYCACHEPREFIX", "PYTHONSTARTUP", "PYTHONINSPECT", "__PYVENV_LAUNCHER__"),
    *("PYTHONTRACEMALLOC", "PYTHONPROFILEIMPORTTIME", "PYTHONDEVMODE"),
    # Tests and what measures or limits them.
    *("PYTEST_CURRENT_TEST", "PYTEST_VERSION", "PYTEST_XDIST_", "PYTEST_TIMEOUT"),
    *("PYTEST_DEBUG_TEMPROOT", "COV_CORE_", "COVERAGE_", "CODSPEED_"),
    # Places to install to, and environments that are active.
    *("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_PYTHON", "PIP_EDITABLE"),
    *("PIP_SRC", "PIP_DRY_RUN", "PIP_REPORT", "PIP_LOG", "PIP_REQUIREMENT"),
    *("UV_PYTHON", "UV_SYSTEM_PYTHON", "UV_TARGET", "UV_PREFIX", "UV_PROJECT"),
    *("UV_WORKING_DIR", "VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV"),
    *("POETRY_ACTIVE", "PIPENV_", "PDM_PROJECT", "HATCH_ENV", "TOX_", "NOX_CURRENT_"),
)
_TEMPORARY = ("TMPDIR", "TEMP", "TMP")
# Variables with paths that may be relative; a build runs in another folder.
_PATHS = (
    *("PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT", "PIP_FIND_LINKS", "PIP_CONFIG_FILE"),
    *("PIP_CERT", "PIP_CACHE_DIR", "UV_CONSTRAINT", "UV_CONFIG_FILE", "UV_CACHE_DIR"),
    *("UV_FIND_LINKS", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
    *("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL", "LD_LIBRARY_PATH"),
    *("LD_PRELOAD", "NODE_EXTRA_CA_CERTS", "GIT_SSH", "CARGO_HOME"),
)
_TEMPORARY_FOLDERS = ("/tmp", "/var/tmp", "~/.cache")  # noqa: S108 - only as parents


def temporary_parent(top: Path) -> Path:
    """Return a folder for temporary files that lies outside of the repository.

    Inside it, both sides would find the configuration and the files of the working
    tree above their own, and the new revision would contain the checkouts.

    Raises:
        GateUsageError: There is none.
    """
    own = tempfile.gettempdir()
    for name in (own, *_TEMPORARY_FOLDERS):
        folder = Path(name).expanduser()
        if os.access(folder, os.W_OK) and relative_to_top(str(folder), top) is None:
            return folder.resolve()
    raise GateUsageError(
        f"TMPDIR {own}: is in the repository {top}; set it to a folder outside"
    )


@dataclass(frozen=True)
class Surroundings:
    """What the gate was started with, and how a side sees it.

    Args:
        environ: The environment variables of the gate.
        top: The folder of the repository.
        folder: The folder in which the gate was started.
        git_variables: Variables of git that belong to one repository.
        new: The checkout of the new revision. A file that the working tree has and
            this has not is one that git ignores.
    """

    environ: Mapping[str, str]
    top: Path
    folder: Path
    git_variables: Sequence[str]
    new: Path

    def of_builds(
        self, checkout: Path, prefix: Path, temporary: Path
    ) -> dict[str, str]:
        """Return the variables for commands that build a side.

        Args:
            checkout: The files of the side.
            prefix: The folder of its environment.
            temporary: Its folder for temporary files.
        """
        kept = {
            name: self._in_a_side(self._absolute(name, value), checkout)
            for name, value in self.environ.items()
            if not name.startswith(("PYTHONPATH", *_DROPPED))
            and name not in self.git_variables
        }
        if "PYTEST_ADDOPTS" in kept:
            words = shlex.split(self.environ["PYTEST_ADDOPTS"])
            kept["PYTEST_ADDOPTS"] = shlex.join(
                in_a_side(without_gate_options(words), self.top, self.folder)
            )
        programs = str(prefix / "bin")
        return {
            **kept,
            "PATH": os.pathsep.join([programs, kept.get("PATH", os.defpath)]),
            "VIRTUAL_ENV": str(prefix),
            # uv would make an environment of its own.
            "UV_PROJECT_ENVIRONMENT": str(prefix),
            **dict.fromkeys(_TEMPORARY, str(temporary)),
        }

    def of_sessions(
        self, checkout: Path, prefix: Path, temporary: Path
    ) -> dict[str, str]:
        """Return the variables for the tests of a side.

        ``PYTHONPATH`` keeps what the revisions have; the rest of it belongs to another
        environment.
        """
        path = [
            self._in_a_side(str(self.folder / entry), checkout)
            for entry in self.environ.get("PYTHONPATH", "").split(os.pathsep)
            if entry
        ]
        inside = [entry for entry in path if Path(entry).is_relative_to(checkout)]
        return {
            **self.of_builds(checkout, prefix, temporary),
            "PYTHONPATH": os.pathsep.join(inside),
            ORIGIN: str(self.top.resolve()),
        }

    def _absolute(self, name: str, value: str) -> str:
        if name not in _PATHS or "://" in value:
            return value
        return os.pathsep.join(
            os.path.normpath(self.folder / entry) if entry else ""
            for entry in value.split(os.pathsep)
        )

    def _in_a_side(self, value: str, checkout: Path) -> str:
        """Return the value with paths in the repository mapped into the checkout."""
        for found in sorted(
            paths_in(value, self.top), key=lambda one: one.start(), reverse=True
        ):
            inside = relative_to_top(found.group(), self.top)
            if inside is None:
                continue
            ignored = (self.top / inside).exists() and not (self.new / inside).exists()
            if not ignored:
                there = os.path.normpath(checkout / inside)
                value = value[: found.start()] + there + value[found.end() :]
        return value
