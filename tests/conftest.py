"""Fixtures that several folders of tests share."""

from __future__ import annotations

import importlib.util
import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from threading import Thread
from types import ModuleType

import pytest

from pipeline import line_ends
from pipeline.line_ends import NativeLineEnds
from tests.node import install

ROOT = Path(__file__).parents[1]

# Dask imports this backport, which takes the place of the standard library in finding
# packages. A session of pytester in this process would undo half of that at its end,
# and the next one would find no plugins.
with suppress(ImportError):
    import_module("importlib_metadata")


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Undo what child processes would inherit from a shell or from nohup.

    A shell makes background jobs ignore SIGINT, and nohup its command SIGHUP.
    """
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    hangup = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGHUP, hangup)


@pytest.fixture(scope="session")
def hook() -> ModuleType:
    """The module that compiles the machine code."""
    pytest.importorskip("hatchling")
    spec = importlib.util.spec_from_file_location("hook", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def line_ends_in_c(
    hook: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> NativeLineEnds:
    """The machine code that finds the ends of lines, compiled as for a wheel."""
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    library = tmp_path_factory.mktemp("native") / "line_ends.so"
    assert (
        hook.compile_source(Path(line_ends.__file__).with_suffix(".c"), library) == ""
    )
    return NativeLineEnds(library)


@pytest.fixture(scope="session")
def installed_node_example() -> None:
    """Install the Node example; fails the test if npm cannot."""
    install()


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files, and ignores ranges, as some servers do."""

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def http(tmp_path: Path) -> Iterator[str]:
    """The URL of a server of the files in ``tmp_path``."""
    handler = partial(QuietHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
