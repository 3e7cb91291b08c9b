"""The plugin's hooks, in the order in which pytest calls them.

pytest imports this module in every project that has the package installed. It and the
modules that it imports at its top therefore need nothing but pytest: gRPC, protobuf,
numpy and hypothesis are imported when a test asks for a fixture.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_pipeline.conformance.report import ConformanceReport
from pytest_pipeline.fixtures import (
    MEASURED,
    POOL,
    aggregate_stage,
    fake_clock,
    fault_seed,
    ingest_stage,
    parse_stage,
    pipeline_batch_size,
    pipeline_certificates,
    pipeline_compare,
    pipeline_record,
    pipeline_servers,
    pipeline_settings,
    pipeline_stages,
    pipeline_workload,
    rules_stage,
    run_pipeline,
    sink_stage,
    stage_driver,
    stage_server,
)
from pytest_pipeline.gate import options as gate_options
from pytest_pipeline.measure import baseline_file
from pytest_pipeline.options import (
    MARKER,
    OPTIONS,
    SETTING_NAMES,
    SETTINGS,
    PipelineSettings,
    read_settings,
    settings_of,
    with_marks,
)
from pytest_pipeline.report import short_errors
from pytest_pipeline.report.summary import Summary

if TYPE_CHECKING:
    from pytest_pipeline.servers.leaks import Owned, Snapshot
    from pytest_pipeline.servers.pool import ServerPool

__all__ = [
    "aggregate_stage",
    "fake_clock",
    "fault_seed",
    "ingest_stage",
    "parse_stage",
    "pipeline_batch_size",
    "pipeline_certificates",
    "pipeline_compare",
    "pipeline_record",
    "pipeline_servers",
    "pipeline_settings",
    "pipeline_stages",
    "pipeline_workload",
    "rules_stage",
    "run_pipeline",
    "sink_stage",
    "stage_driver",
    "stage_server",
]

# Processes, threads, channels and sockets that exist when a test's body begins.
_BEFORE: pytest.StashKey[Snapshot] = pytest.StashKey()
_PASSED = pytest.StashKey[bool]()
# Each settings value mapped to itself: pytest compares parameters by identity.
_INTERNED = pytest.StashKey[dict[PipelineSettings, PipelineSettings]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    OPTIONS.declare(parser)
    gate_options.add_options(parser)
    baseline_file.add_options(parser)


def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Run the gate instead of a session, if the command line asks for it."""
    settings = gate_options.gate_settings_of(config)
    # A session that a gate started may read the same options from addopts.
    if settings is None or gate_options.SOCKET in os.environ:
        return None

    from pytest_pipeline.gate.arguments import without_gate_options
    from pytest_pipeline.gate.gating import run_gate

    arguments = without_gate_options(config.invocation_params.args, settings.against)
    return run_gate(settings, arguments, config.invocation_params.dir)


def pytest_configure(config: pytest.Config) -> None:
    """Read the options, declare the markers and register the plugin's parts."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}({', '.join(SETTING_NAMES)}): settings of this test, with the names "
        f"of the --pipeline options.",
    )
    config.addinivalue_line(
        "markers",
        f"{gate_options.MARKER}(threshold): the relative change from which this "
        f"benchmark counts as slower; overrides --pipeline-gate-threshold.",
    )
    settings = config.stash[SETTINGS] = read_settings(config)
    measured = config.stash[MEASURED] = {}
    config.pluginmanager.register(
        ConformanceReport(settings.conformance_report, dict(settings.serving)),
        "pipeline-verdicts",
    )
    config.pluginmanager.register(
        Summary(settings.report, measured), "pipeline-summary"
    )


def pytest_report_header(config: pytest.Config) -> str:
    """Return the line of the session header that shows the settings."""
    settings = settings_of(config)
    parts = [
        f"{settings.servers} servers over {settings.transport}",
        f"batch sizes {', '.join(map(str, settings.batch_sizes))}",
        f"workload {', '.join(settings.workload)}",
    ]
    parts += [f"{name}={serving}" for name, serving in settings.stage]
    return f"pipeline: {'; '.join(parts)}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once for each batch size and workload in its settings."""
    if "pipeline_settings" not in metafunc.fixturenames:
        return
    try:
        settings = _settings_of_test(metafunc)
    except pytest.UsageError:
        return  # The setup of the test fails with it.
    for name, values in (
        ("pipeline_settings", [settings]),
        ("pipeline_workload", settings.workload),
        ("pipeline_batch_size", settings.batch_sizes),
    ):
        if name in metafunc.fixturenames and not _is_parametrized(metafunc, name):
            metafunc.parametrize(
                name,
                values,
                indirect=True,
                scope="session",
                # A single value does not appear in the name of the test.
                ids=[pytest.HIDDEN_PARAM]
                if len(values) == 1
                else list(map(str, values)),
            )


def _settings_of_test(metafunc: pytest.Metafunc) -> PipelineSettings:
    """Return the settings of a test; equal settings are one object."""
    marks = metafunc.definition.iter_markers(MARKER)
    settings = with_marks(settings_of(metafunc.config), marks)
    interned = metafunc.config.stash.setdefault(_INTERNED, {})
    return interned.setdefault(settings, settings)


def _is_parametrized(metafunc: pytest.Metafunc, name: str) -> bool:
    """Return whether the test parametrizes a fixture itself."""
    return any(
        name in _names(mark.args[0] if mark.args else mark.kwargs.get("argnames", ()))
        for mark in metafunc.definition.iter_markers("parametrize")
    )


def _names(argnames: Any) -> list[str]:
    if isinstance(argnames, str):
        return [name.strip() for name in argnames.split(",")]
    return list(argnames)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Validate the marker, and bring back servers that the previous test used."""
    # On every test, whether or not it uses our fixtures. One that is wrong fails its
    # test, and no other.
    if marks := list(item.iter_markers(MARKER)):
        _check_marks(item.config, marks)
    pool = item.config.stash.get(POOL, None)
    if pool is not None:
        pool.reset(getattr(item, "fixturenames", ()))


def _check_marks(config: pytest.Config, marks: list[pytest.Mark]) -> None:
    from pipeline.errors import UsageError

    try:
        with_marks(settings_of(config), marks)
    except pytest.UsageError as error:
        raise UsageError(str(error)) from None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Take a snapshot before the body of a test that uses servers."""
    if _has_servers(item):
        from pytest_pipeline.servers.leaks import snapshot

        item.stash[_BEFORE] = snapshot()
    yield
    item.stash[_PASSED] = True


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Fail a passed test that leaked something or whose server died."""
    before = item.stash.get(_BEFORE, None)
    # The teardown of the last test ends the session's fixtures, and the pool with them.
    pool = item.config.stash.get(POOL, None)
    if before is None or pool is None or not item.stash.get(_PASSED, False):
        return (yield)
    from pytest_pipeline.servers.failures import exit_summaries
    from pytest_pipeline.servers.leaks import left_behind

    lines = exit_summaries(pool.servers)
    yield
    pool.disconnect()
    lines += left_behind(before, _owned(pool))
    if lines:
        pytest.fail(
            "the test passed, but left behind:\n" + "\n".join(lines), pytrace=False
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the state, logs and last batches of the servers to a failed report.

    A mistake in the use of the plugin is reported without the source of the plugin.
    """
    excinfo = call.excinfo
    is_text = (
        excinfo is not None
        and not item.config.getoption("fulltrace")
        and short_errors.shorten(excinfo)
    )
    report = yield
    if excinfo is not None and is_text:
        report.longrepr = excinfo.getrepr(style="value", chain=False)
    pool = item.config.stash.get(POOL, None)
    if pool is not None and report.failed:
        from pytest_pipeline.servers.failures import sections

        report.sections.extend(sections(pool.servers))
    return report


# Around the hook of the terminal reporter, which ends with its short summary.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> Iterator[None]:
    """Repeat whole what the short summary has cut short."""
    yield
    stats = terminalreporter.stats
    for line in short_errors.lines_cut_short(
        [*stats.get("failed", ()), *stats.get("error", ())],
        config.get_terminal_writer().fullwidth,
        config,
    ):
        terminalreporter.write_line(line)


def _has_servers(item: pytest.Item) -> bool:
    names = getattr(item, "fixturenames", ())
    return "pipeline_settings" in names or "pipeline_servers" in names


def _owned(pool: ServerPool) -> Owned:
    """Return the resources of the session's servers, which outlive a test."""
    from pytest_pipeline.servers.leaks import Owned

    servers = pool.servers
    return Owned(
        processes=frozenset(
            server.host.pid
            for server in servers
            if server.kind == "subprocess" and server.host.pid is not None
        ),
        threads=frozenset(
            thread for server in servers for thread in server.host.threads
        ),
        addresses=frozenset(server.host.address for server in servers),
    )
