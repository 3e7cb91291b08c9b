"""Is the gate right? Many runs without a change, and with a tenth more work in parse.

Each run is a gate of its own, on a clone of this repository, one after the other. None
without the change may be red; with it nine in ten must be.

    python benchmarks/gate/calibrate.py [--same 20] [--slower 10]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from pytest_pipeline.gate.outcome import EXIT_CODES

_ROOT = Path(__file__).parent.parent.parent
_PARSE = Path("pipeline/workloads/events/parse.py")
_BEFORE = "    if lines.too_long or not _is_utf8(lines.text):\n"
#: Goes over a tenth of the lines once more.
_TENTH = """\
    more, _ = _parse_all(texts[: len(texts) // 10], lines)
    _are_timestamps([event.ts for event in more])
    Events(
        ts=[event.ts for event in more],
        type=[EVENT_TYPES[event.type] for event in more],
        user=[event.user for event in more],
        value=[int(event.value) for event in more],
    )
"""


def outcomes(folder: Path, runs: int) -> Counter[str]:
    """Return how often each outcome was that of a gate in ``folder``."""
    names = {code: outcome for outcome, code in EXIT_CODES.items()}
    found: Counter[str] = Counter()
    for number in range(1, runs + 1):
        done = subprocess.run(  # noqa: S603 - the gate
            [
                *(sys.executable, "-m", "pytest", "benchmarks/gate"),
                *("--pipeline-gate-against", "HEAD"),
            ],
            cwd=folder,
            capture_output=True,
            check=False,
            text=True,
        )
        last = (done.stdout.splitlines() or [""])[-1]
        print(f"{number}/{runs}: {done.stderr.strip() or last}", flush=True)
        found[names.get(done.returncode, f"exit code {done.returncode}")] += 1
    return found


def main() -> None:
    """Run the gates and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--same", type=int, default=20)
    parser.add_argument("--slower", type=int, default=10)
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as name:
        clone = Path(name).resolve() / "clone"
        subprocess.run(["git", "clone", "--quiet", _ROOT, clone], check=True)  # noqa: S603, S607 - this repository
        same = outcomes(clone, arguments.same)
        parse = clone / _PARSE
        text = parse.read_text()
        if text.count(_BEFORE) != 1:
            sys.exit(f"{_PARSE}: has changed; say anew where its work can be added")
        parse.write_text(text.replace(_BEFORE, _TENTH + _BEFORE))
        slower = outcomes(clone, arguments.slower)
    for what, found in (("no change", same), ("a tenth more in parse", slower)):
        said = ", ".join(f"{count} {outcome}" for outcome, count in found.items())
        print(f"{what}: {said or 'no runs'}")
    if same["regressed"] or slower["regressed"] < 0.9 * arguments.slower:
        sys.exit(1)


if __name__ == "__main__":
    main()
