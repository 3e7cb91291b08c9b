"""A headless browser, and the requests of pages in it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from urllib.parse import urlsplit

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--enable-logging=stderr",
    # No request leaves this machine, not even those of the browser itself.
    "--proxy-server=127.0.0.1:1",
    "--proxy-bypass-list=<-loopback>",
)
#: The initiator of the browser's own requests in its log.
_ITSELF = "not an origin"


def browser() -> str | None:
    """Return the path of a Chromium or Chrome; None where there is none."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


@dataclass(frozen=True)
class Seen:
    """A page after it was opened."""

    #: The document after its scripts ran.
    dom: str
    #: Messages on the console, such as violations of the policy.
    console: list[str]
    #: Hosts of its requests, answered or not.
    asked: set[str]


def opened(page: Path, profile: Path, *flags: str) -> Seen:
    """Open a file with a new ``profile``, and let its scripts run."""
    found = browser()
    assert found is not None
    log = profile.with_suffix(".requests.json")
    done = subprocess.run(
        [
            found,
            *_FLAGS,
            *flags,
            f"--user-data-dir={profile}",
            f"--log-net-log={log}",
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
        asked=_hosts_asked(log),
    )


@dataclass(frozen=True)
class Phone:
    """The extent of a page on a phone of 390 pixels."""

    #: Width of the page, which scrolls sideways if it exceeds that of the phone.
    width: float
    charts: int
    #: The leftmost and rightmost edge of all charts.
    left: float
    right: float


_PHONE = """<body>
  <iframe id="phone" style="width: 390px; height: 800px"></iframe>
  <script>
    const phone = document.getElementById("phone");
    phone.onload = () => setTimeout(() => {
      const inside = phone.contentDocument;
      const drawn = [...inside.querySelectorAll(".chart *")].map(
        element => element.getBoundingClientRect());
      document.body.dataset.found = JSON.stringify([
        inside.documentElement.scrollWidth,
        inside.querySelectorAll(".chart").length,
        Math.min(...drawn.map(box => box.left)),
        Math.max(...drawn.map(box => box.right))]);
    }, 1000);
    phone.srcdoc = PAGE;
  </script>
</body>"""


def opened_text(page: str, folder: Path, *flags: str) -> Seen:
    """Open a page as a file."""
    path = folder / "page.html"
    path.write_text(page, encoding="utf-8")
    return opened(path, folder / "profile", *flags)


def asked_of_page(page: str, folder: Path, expression: str, *flags: str) -> str:
    """Open a page, and return the value of a JavaScript expression there as JSON."""
    script = f"document.body.dataset.found = JSON.stringify({expression})"
    asking = page.replace("</body>", f"<script>{script}</script></body>")
    found = re.search(r'data-found="(.*?)"', opened_text(asking, folder, *flags).dom)
    assert found is not None
    return unescape(found[1])


def on_a_phone(page: str, folder: Path) -> Phone:
    """Open a page in the width of a phone."""
    quoted = json.dumps(page).replace("</", r"<\/")
    seen = opened_text(_PHONE.replace("PAGE", quoted), folder)
    found = re.search(r'data-found="\[(\d+),(\d+),([\d.-]+),([\d.-]+)\]"', seen.dom)
    assert found is not None
    return Phone(float(found[1]), int(found[2]), float(found[3]), float(found[4]))


def _hosts_asked(log: Path) -> set[str]:
    """Return the hosts that pages requested, without the browser's own requests."""
    started = [
        event["params"]
        for event in json.loads(log.read_text())["events"]
        if "initiator" in event.get("params", {})
    ]
    return {
        urlsplit(request["url"]).hostname or request["url"]
        for request in started
        if request["initiator"] != _ITSELF
    }
