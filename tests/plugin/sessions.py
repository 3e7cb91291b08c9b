"""Sessions of pytest within pytest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from pipeline.workloads import workload_named
from pytest_pipeline.options import PipelineSettings

# Imported here, since a session within a session unloads the modules that it was the
# first to import, and numpy can't be imported twice.
EVENTS = workload_named("events")
MIXED = workload_named("mixed")

ASKS = "def test_x(pipeline_settings): pass"


# Compared by identity, since pytest keeps plugins in a set.
@dataclass(eq=False)
class Spy:
    """Records which tests ran, and the values of their fixtures."""

    seen: dict[str, dict[str, Any]] = field(default_factory=dict)

    def pytest_runtest_call(self, item: pytest.Function) -> None:
        """Record a test."""
        self.seen[item.name] = item.funcargs


def seen_by(
    pytester: pytest.Pytester, source: str, *options: str
) -> dict[str, dict[str, Any]]:
    """Run tests that must pass; return the values of fixtures for each."""
    pytester.makepyfile(source)
    spy = Spy()
    result = pytester.runpytest_inprocess(
        "-p", "no:cacheprovider", *options, plugins=[spy]
    )
    result.assert_outcomes(passed=len(spy.seen))
    return spy.seen


def settings_of(
    pytester: pytest.Pytester, *options: str, mark: str = ""
) -> PipelineSettings:
    """Run one test, with the marker ``mark`` if given; return its settings."""
    marked = f"import pytest\n@pytest.mark.pipeline({mark})\n{ASKS}" if mark else ASKS
    settings = seen_by(pytester, marked, *options)["test_x"]["pipeline_settings"]
    assert isinstance(settings, PipelineSettings)
    return settings


def usage_error(pytester: pytest.Pytester, *options: str) -> str:
    """Run pytest, which must refuse to start; return its message."""
    pytester.makepyfile(ASKS)
    result = pytester.runpytest_inprocess(*options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    return result.stderr.str()


def marker_error(pytester: pytest.Pytester, mark: str, *options: str) -> str:
    """Run one test with an invalid marker; return what pytest shows."""
    pytester.makepyfile(f"import pytest\n@pytest.mark.pipeline({mark})\n{ASKS}")
    result = pytester.runpytest_inprocess(*options)
    result.assert_outcomes(errors=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    return result.stdout.str()


def ids(pytester: pytest.Pytester, source: str, *options: str) -> list[str]:
    """Return the names of the tests that pytest collects."""
    pytester.makepyfile(source)
    items, _ = pytester.inline_genitems("-p", "no:cacheprovider", *options)
    return [item.name for item in items]
