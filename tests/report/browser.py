"""A real browser without a window, and a proxy that notes whom it asks."""

from __future__ import annotations

import shutil
import socketserver
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # What else it would ask its maker for as it starts.
    "--disable-extensions",
    "--disable-features=NetworkTimeServiceQuerying,OptimizationHints,MediaRouter",
    "--gaia-url=http://127.0.0.1:1/",
    "--enable-logging=stderr",
)


def browser() -> str | None:
    """Return the path of a Chromium or Chrome; None where there is none."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


class _Proxy(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Note)
        self.asked: set[str] = set()


class _Note(socketserver.StreamRequestHandler):
    """Notes the host that a request is for, and refuses it."""

    server: _Proxy

    def handle(self) -> None:
        _, target, _ = self.rfile.readline().decode("latin-1").split()
        # CONNECT names host and port, every other method a whole address.
        url = target if "://" in target else f"https://{target}"
        self.server.asked.add(urlsplit(url).hostname or target)
        self.wfile.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")


@contextmanager
def recording() -> Iterator[_Proxy]:
    """Serve a proxy that notes each host in ``asked``."""
    with _Proxy() as proxy:
        thread = Thread(target=proxy.serve_forever, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()


@dataclass(frozen=True)
class Seen:
    """What came of opening a page."""

    #: The document after its scripts have run.
    dom: str
    #: What the page has said on the console, such as what was forbidden to it.
    console: list[str]
    #: The hosts of all requests that left the browser, its own among them.
    asked: set[str]


def opened(page: Path, profile: Path, *flags: str) -> Seen:
    """Open a file with a new ``profile``, let its scripts run, and close it."""
    found = browser()
    assert found is not None
    with recording() as proxy:
        done = subprocess.run(
            [
                found,
                *_FLAGS,
                *flags,
                f"--user-data-dir={profile}",
                f"--proxy-server=127.0.0.1:{proxy.server_address[1]}",
                # Else what goes to this machine would pass the proxy by.
                "--proxy-bypass-list=<-loopback>",
                "--virtual-time-budget=5000",
                "--dump-dom",
                page.as_uri(),
            ],
            capture_output=True,
            check=True,
            timeout=120,
        )
    said = done.stderr.decode(errors="replace").splitlines()
    return Seen(
        dom=done.stdout.decode(),
        console=[line for line in said if "CONSOLE" in line],
        asked=proxy.asked,
    )


class Charts(HTMLParser):
    """Counts the series that are drawn within each chart of a document."""

    def __init__(self, dom: str) -> None:
        super().__init__()
        self.traces: dict[str, int] = {}
        self._chart = ""
        self.feed(dom)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep note of the chart, and count a series."""
        of = dict(attrs)
        classes = (of.get("class") or "").split()
        if "chart" in classes:
            self._chart = of["id"] or ""
            self.traces[self._chart] = 0
        elif tag == "g" and "trace" in classes:
            self.traces[self._chart] += 1
