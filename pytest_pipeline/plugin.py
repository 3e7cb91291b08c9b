"""The plugin's hooks, in the order in which pytest calls them.

pytest imports this module wherever the package is installed. So it and what it imports
at its top need nothing but pytest: gRPC, protobuf, numpy and hypothesis are imported
when a test asks for a fixture.
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
    ingest_stage,
    parse_stage,
    pipeline_batch_size,
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
    SETTING_NAMES,
    SETTINGS,
    PipelineSettings,
    add_options,
    read_settings,
    settings_of,
    with_marks,
)
from pytest_pipeline.report.summary import Summary

if TYPE_CHECKING:
    from pytest_pipeline.servers.leaks import Owned, Snapshot
    from pytest_pipeline.servers.pool import ServerPool

__all__ = [
    "aggregate_stage",
    "fake_clock",
    "ingest_stage",
    "parse_stage",
    "pipeline_batch_size",
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

# What is there when the body of a test begins.
_BEFORE: pytest.StashKey[Snapshot] = pytest.StashKey()
_PASSED = pytest.StashKey[bool]()
# Settings of tests, by themselves: pytest asks that equal parameters be one object.
_INTERNED = pytest.StashKey[dict[PipelineSettings, PipelineSettings]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    add_options(parser)
    gate_options.add_options(parser)
    baseline_file.add_options(parser)


def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Run the gate in place of a session, where one is asked for."""
    settings = gate_options.gate_settings_of(config)
    # A session that a gate has started may read the same default options.
    if settings is None or gate_options.SOCKET in os.environ:
        return None

    from pytest_pipeline.gate.gating import run_gate

    return run_gate(
        settings, config.invocation_params.args, config.invocation_params.dir
    )


def pytest_configure(config: pytest.Config) -> None:
    """Read the options and declare the markers."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}({', '.join(SETTING_NAMES)}): settings of this test, named as the "
        f"--pipeline options are.",
    )
    config.addinivalue_line(
        "markers",
        f"{gate_options.MARKER}(threshold): from which change on this benchmark is "
        f"slower, in place of --pipeline-gate-threshold.",
    )
    settings = config.stash[SETTINGS] = read_settings(config)
    measured = config.stash[MEASURED] = {}
    config.pluginmanager.register(
        ConformanceReport(settings.conformance_report, dict(settings.stages)),
        "pipeline-verdicts",
    )
    config.pluginmanager.register(
        Summary(settings.report, measured), "pipeline-summary"
    )


def pytest_report_header(config: pytest.Config) -> str:
    """Say what is in force."""
    settings = settings_of(config)
    parts = [
        f"{settings.servers} servers over {settings.transport}",
        f"batch sizes {', '.join(map(str, settings.batch_sizes))}",
        f"workload {', '.join(settings.workload)}",
    ]
    parts += [f"{name}={serving}" for name, serving in settings.stage]
    return f"pipeline: {'; '.join(parts)}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once for each batch size and workload that it is to see."""
    # Of every test, since a marker that is wrong is so without these fixtures too.
    settings = _settings_of_test(metafunc)
    if "pipeline_settings" not in metafunc.fixturenames:
        return
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
                # One value is nothing that the name of a test need tell.
                ids=[pytest.HIDDEN_PARAM]
                if len(values) == 1
                else list(map(str, values)),
            )


def _settings_of_test(metafunc: pytest.Metafunc) -> PipelineSettings:
    """Return the settings of a test; equal ones are one object, as pytest asks for."""
    marks = metafunc.definition.iter_markers(MARKER)
    try:
        settings = with_marks(settings_of(metafunc.config), marks)
    except pytest.UsageError as error:
        raise pytest.Collector.CollectError(
            f"{metafunc.definition.nodeid}: usage error: {error}"
        ) from error
    interned = metafunc.config.stash.setdefault(_INTERNED, {})
    return interned.setdefault(settings, settings)


def _is_parametrized(metafunc: pytest.Metafunc, name: str) -> bool:
    """Say whether the test itself says which values a fixture has."""
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
    """Bring the servers back that the test before has used."""
    pool = item.config.stash.get(POOL, None)
    if pool is not None:
        pool.reset()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Note what is there before the body of a test that has to do with servers."""
    if _has_servers(item):
        from pytest_pipeline.servers.leaks import snapshot

        item.stash[_BEFORE] = snapshot()
    yield
    item.stash[_PASSED] = True


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Fail a test that has left something behind, or lost a server unnoticed."""
    before = item.stash.get(_BEFORE, None)
    # The fixtures of the last test are those of the session, the pool among them.
    pool = item.config.stash.get(POOL, None)
    if before is None or pool is None or not item.stash.get(_PASSED, False):
        return (yield)
    from pytest_pipeline.servers.failures import obituaries
    from pytest_pipeline.servers.leaks import left_behind

    lines = obituaries(pool.servers)
    yield
    pool.close_channels()
    lines += left_behind(before, _owned(pool))
    if lines:
        pytest.fail(
            "the test passed, but left behind:\n" + "\n".join(lines), pytrace=False
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what is known of the servers to the report of a test that failed."""
    report = yield
    pool = item.config.stash.get(POOL, None)
    if pool is not None and report.failed:
        from pytest_pipeline.servers.failures import sections

        report.sections.extend(sections(pool.servers))
    return report


def _has_servers(item: pytest.Item) -> bool:
    names = getattr(item, "fixturenames", ())
    return "pipeline_settings" in names or "pipeline_servers" in names


def _owned(pool: ServerPool) -> Owned:
    """Return what the servers of the session have, which no test need end."""
    from pytest_pipeline.servers.hosts import InProcessHost
    from pytest_pipeline.servers.leaks import Owned

    servers = pool.servers
    return Owned(
        processes=frozenset(
            server.host.pid
            for server in servers
            if server.kind == "subprocess" and server.host.pid is not None
        ),
        threads=frozenset(
            thread
            for server in servers
            if isinstance(server.host, InProcessHost)
            for thread in server.host.threads
        ),
        addresses=frozenset(server.host.address for server in servers),
    )
