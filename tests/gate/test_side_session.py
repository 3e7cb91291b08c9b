"""Sessions of a side, with real pytest in its own process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_pipeline.gate.errors import GateFaultError
from pytest_pipeline.gate.side_session import Side, SideSession, last_line

Start = Callable[..., SideSession]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Return a function that starts a session on a file of tests."""

    def start(text: str, *arguments: str) -> SideSession:
        folder = tmp_path / "tests"
        folder.mkdir()
        (folder / "test_it.py").write_text(text)
        side = Side("old", folder, Path(sys.executable), dict(os.environ))
        return SideSession(
            side, ["-p", "no:cacheprovider", *arguments], tmp_path / "log"
        )

    return start


def test_only_benchmarks_are_collected(start: Start) -> None:
    """With the thresholds of their markers, in file order."""
    with start(
        """
import pytest

def test_none(): pass

@pytest.mark.pipeline_gate(threshold=0.2)
def test_b(benchmark): benchmark(int)

def test_a(benchmark): benchmark(int)
""",
        # A revision may lack this plugin.
        *("-p", "no:pipeline", "--strict-markers"),
    ) as session:
        assert session.collected() == {
            "test_it.py::test_b": 0.2,
            "test_it.py::test_a": None,
        }


def test_a_benchmark_is_called_as_often_as_requested(start: Start) -> None:
    """And once more, for the result that the test checks."""
    with start(
        """
calls = []

def test_it(benchmark):
    assert benchmark(lambda value: calls.append(value) or len(calls), 1) == 7
    assert benchmark.stats is None
"""
    ) as session:
        (name,) = session.collected()
        session.begin(name, None)
        assert session.is_ready(name) == ""
        assert session.seconds(name, calls=1, pieces=2, turn=0) > 0
        assert session.seconds(name, calls=2, pieces=2, turn=1) > 0
        session.end(name)


def test_a_pedantic_benchmark_sets_up_each_call(start: Start) -> None:
    """Setup and teardown are not timed."""
    with start(
        """
import time

made, taken = [], []

def make():
    made.append(1)
    time.sleep(0.2)
    return (len(made),), {"other": 0}

def test_made(benchmark):
    # What is measured takes away what it was given; the test itself does not.
    given = []
    benchmark.pedantic(
        lambda number, other: given.append(number), setup=make,
        teardown=lambda number, other: taken.append(number),
    )
    assert given == [1, 2, 3]
    assert taken == [1, 2]

def test_given(benchmark):
    given = []
    benchmark.pedantic(lambda *a, **k: given.append((a, k)), (1,), {"b": 2}, rounds=9)
    assert given == [((1,), {"b": 2})] * 2
"""
    ) as session:
        made, given = session.collected()
        session.begin(made, given)
        assert session.is_ready(made) == ""
        assert session.seconds(made, calls=2, pieces=1, turn=0) < 0.2
        session.end(made)
        session.begin(given, None)
        assert session.is_ready(given) == ""
        session.seconds(given, calls=1, pieces=1, turn=0)
        session.end(given)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("pass", "test_it.py::test_it failed: it did not call its benchmark"),
        ("1 / 0", "test_it.py::test_it failed: ZeroDivisionError: division by zero"),
        ("benchmark(lambda: 1 / 0)", "failed: ZeroDivisionError: division by zero"),
        ("assert benchmark(int) == 1", "test_it.py::test_it failed: assert 0 == 1"),
        ("benchmark(int); benchmark(int)", "failed: pytest_benchmark.fixture.Fixture"),
        ("import os; os._exit(9)", "pytest ended with 9: "),
    ],
)
def test_a_failing_test_is_named(start: Start, body: str, said: str) -> None:
    """In one line, with side and reason."""
    with start(f"def test_it(benchmark):\n    {body}\n") as session:
        (name,) = session.collected()

        with pytest.raises(GateFaultError) as caught:
            _measure(session, name)

    text = str(caught.value)
    assert text.startswith("old: ")
    assert caught.value.log is not None
    assert said in text
    assert "\n" not in text


def _measure(session: SideSession, name: str) -> None:
    session.begin(name, None)
    session.is_ready(name)
    session.seconds(name, calls=1, pieces=1, turn=0)
    session.end(name)


def test_the_reason_of_a_skip_is_returned(start: Start) -> None:
    """Before any sample is taken."""
    with start(
        "import pytest\ndef test_it(benchmark): pytest.skip('no disk')\n"
    ) as session:
        (name,) = session.collected()
        session.begin(name, None)
        assert session.is_ready(name) == "no disk"


MARKED = """
import pytest

@pytest.mark.pipeline_gate(threshold=-1)
def test_it(benchmark): pass
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import nowhere", "can't collect test_it.py: ModuleNotFoundError: No module"),
        (MARKED, "test_it.py::test_it: @pytest.mark.pipeline_gate(threshold=-1) must"),
    ],
)
def test_a_collection_error_is_named(start: Start, text: str, said: str) -> None:
    """Nothing is measured."""
    with (
        start(text) as session,
        pytest.raises(GateFaultError) as caught,
    ):
        session.collected()
    assert str(caught.value).startswith(f"old: {said}")


def test_wrong_arguments_are_reported(start: Start) -> None:
    """With pytest's exit code and message."""
    with (
        start("", "--no-such-option") as session,
        pytest.raises(GateFaultError, match="old: pytest ended with 4: "),
    ):
        session.collected()


@pytest.mark.parametrize(
    "options", [("--benchmark-only",), ("--benchmark-skip",), ("-n", "2")]
)
def test_options_of_other_plugins_are_ignored(
    start: Start, options: tuple[str, ...]
) -> None:
    """Those of pytest-benchmark and pytest-xdist."""
    with start("def test_it(benchmark): benchmark(int)\n", *options) as session:
        (name,) = session.collected()
        _measure(session, name)


def test_a_missing_file_has_no_benchmarks(start: Start) -> None:
    """The other files are not collected instead."""
    with start("def test_it(benchmark): benchmark(int)\n", "test_other.py") as session:
        assert session.collected() == {}


@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        (["test_it.py::test_a"], ["test_a[1]", "test_a[2]"]),
        (["test_it.py::test_a[2]", "test_it.py::test_ab"], ["test_a[2]", "test_ab"]),
        (["test_it.py::TestOf"], ["TestOf::test_a"]),
        (["test_it.py::TestOf::test_a"], ["TestOf::test_a"]),
        (["test_it.py::test_gone"], []),
        (["test_it.py::test_gone", "test_it.py::test_ab"], ["test_ab"]),
    ],
    ids=" ".join,
)
def test_only_the_named_tests_are_collected(
    start: Start, chosen: list[str], names: list[str]
) -> None:
    """With all their cases. A missing test does not fail the others."""
    with start(
        """
import pytest

@pytest.mark.parametrize("number", [1, 2])
def test_a(benchmark, number): benchmark(int)

def test_ab(benchmark): benchmark(int)

class TestOf:
    def test_a(self, benchmark): benchmark(int)
""",
        *chosen,
    ) as session:
        assert list(session.collected()) == [f"test_it.py::{name}" for name in names]


def test_session_fixtures_live_until_the_last_test_needs_them(start: Start) -> None:
    """They end before the gate gets the message that the test ended."""
    with start(
        """
import pytest
ended = []

@pytest.fixture(scope="session")
def shared():
    yield []
    ended.append(1)

def test_a(benchmark, shared): benchmark(shared.append, 1)

def test_b(benchmark, shared):
    benchmark(int)
    assert len(shared) == 2
    assert not ended

def test_c(benchmark):
    benchmark(int)
    assert ended
"""
    ) as session:
        first, second, third = session.collected()
        session.begin(first, second)
        session.is_ready(first)
        session.seconds(first, calls=1, pieces=1, turn=0)
        session.end(first)
        _measure(session, second)
        _measure(session, third)


def test_closing_a_session_tears_down_its_fixtures(
    start: Start, tmp_path: Path
) -> None:
    """Even during a benchmark."""
    ended = tmp_path / "ended"
    with start(
        f"""
import pathlib, pytest

@pytest.fixture
def server():
    yield
    pathlib.Path({str(ended)!r}).touch()

def test_it(benchmark, server): benchmark(int)
"""
    ) as session:
        (name,) = session.collected()
        session.begin(name, None)
        session.is_ready(name)

    assert ended.exists()


def test_the_last_line_skips_notes_of_pip(tmp_path: Path) -> None:
    """They follow the error."""
    log = tmp_path / "log"
    log.write_text("one\nERROR: two\n\nnote: this is no problem of pip\n")
    assert last_line(log) == "ERROR: two"
    log.write_text("\n")
    assert last_line(log) == "it said nothing"
