"""Fixtures that several folders of tests share."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from threading import Thread

import pytest

from tests.node import install

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
