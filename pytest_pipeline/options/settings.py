"""The settings of a session and of a test: one frozen value.

Options and ini keys set them for a session. A marker sets them for a test, and the
arguments of ``stage_server`` for one server:
``@pytest.mark.pipeline(start_timeout=5)``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import pytest

from pytest_pipeline.options.declaration import Option, OptionGroup
from pytest_pipeline.options.values import (
    COUNT,
    NAMES,
    PATH,
    RATE,
    SECONDS,
    SIZES,
    STAGES,
    TEXT,
    choice,
    is_address,
)

Transport = Literal["unix", "tcp", "tls", "mtls"]
#: The transports under TLS; with mutual TLS, clients need a certificate too.
TLS_TRANSPORTS: tuple[Transport, ...] = ("tls", "mtls")
Hosting = Literal["inprocess", "subprocess", "external"]

MARKER = "pipeline"


@dataclass(frozen=True)
class PipelineSettings:
    """The settings that are in force for a test; the fixture ``pipeline_settings``."""

    #: Records in a batch, or auto; a test that runs the pipeline runs once for each.
    batch_sizes: tuple[int | Literal["auto"], ...] = ("auto", 1, 10, 100)
    #: Names that `workload_named` knows; a test runs once for each.
    workload: tuple[str, ...] = ("events",)
    transport: Transport = "unix"
    servers: Hosting = "inprocess"
    #: Stage names with the command or the address that serves each.
    stage: tuple[tuple[str, str], ...] = ()
    #: Languages of the stages, as `pipeline.languages.programs_of` reads them; empty
    #: for Python.
    stages: str = ""
    #: The seed of faults; None for another one in each test.
    fault_seed: int | None = None
    #: Records of a run that is given no input.
    events: int = 1000
    #: Seconds that a server has to become ready.
    start_timeout: float = 30.0
    #: PEM file of the authority that certifies external servers.
    tls_root: Path | None = None
    #: Input that the suites take records from, for a workload that reads a file.
    data: Path | None = None
    #: Streams that the suite of invariance tries for each property.
    examples: int = 100
    #: Engines that the suite of invariance compares beside those it always does.
    engines: tuple[str, ...] = ()
    #: Seconds that a stage has to answer in the suite of conformance.
    reply_timeout: float = 10.0
    #: TOML file that declares what the stages under test support.
    declarations: Path | None = None
    #: Where the verdicts on stages are written, as .json and as .md.
    conformance_report: Path | None = None
    #: Where the page of the benchmarks is written.
    report: Path | None = None
    #: Seconds that one run of a benchmark takes, about.
    run_seconds: float = 0.25
    #: Records per second that are due where latency is measured.
    arrival_rate: float = 1000.0

    @property
    def serving(self) -> Mapping[str, str]:
        """The command or address of each stage that has one."""
        return dict(self.stage)


#: Where the plugin keeps the settings of a session.
SETTINGS = pytest.StashKey[PipelineSettings]()

OPTIONS = OptionGroup(
    "pipeline",
    "streaming gRPC stages",
    (
        Option(
            "batch_sizes",
            SIZES,
            "N,…",
            "Records in a batch, or auto; tests that run the pipeline run once for "
            "each [auto,1,10,100].",
        ),
        Option(
            "workload",
            NAMES,
            "NAME,…",
            "events, work-items, mixed, or package.module:name of your own; tests run "
            "once for each [events].",
        ),
        Option(
            "transport",
            choice(get_args(Transport)),
            "unix|tcp|tls|mtls",
            "How stage servers are reached; mtls is mutual TLS [unix].",
        ),
        Option(
            "servers",
            choice(get_args(Hosting)),
            "inprocess|subprocess|external",
            "Where stage servers run: in threads of the test process, in processes of "
            "their own, or started by somebody else [inprocess].",
        ),
        Option(
            "stage",
            STAGES,
            "NAME=COMMAND|ADDRESS",
            "What serves a stage: a command in any language, or HOST:PORT or unix:PATH "
            "of a running server. Repeat it for more stages.",
            repeats=True,
        ),
        Option(
            "stages",
            TEXT,
            "LANGUAGE|NAME=LANGUAGE,…",
            "Languages of the stages that are not given by --pipeline-stage: go, rust, "
            "rust-debug or typescript for all, or parse=rust,rules=go [python]. Build "
            "them with pipeline build-stages.",
        ),
        Option("events", COUNT, "N", "Records of a run that is given no input [1000]."),
        Option(
            "start_timeout",
            SECONDS,
            "SECONDS",
            "How long a server may take to become ready [30].",
        ),
        Option(
            "fault_seed",
            COUNT,
            "SEED",
            "The seed that tests with fault_seed draw faults from; a test that fails "
            "prints its own [random].",
        ),
        Option(
            "tls_root",
            PATH,
            "PATH",
            "PEM file of the authority to trust, for external servers under TLS.",
        ),
        Option(
            "data",
            PATH,
            "FILE",
            "Input that the shipped suites take records from, for a workload of your "
            "own that reads a file.",
        ),
        Option(
            "examples",
            COUNT,
            "N",
            "Streams that the suite of invariance tries for each property [100].",
        ),
        Option(
            "engines",
            NAMES,
            "NAME,…",
            "Engines that the suite of invariance starts and compares with the "
            "monolith too, such as dask [none].",
        ),
        Option(
            "reply_timeout",
            SECONDS,
            "SECONDS",
            "How long a stage may take to answer in the suite of conformance [10].",
        ),
        Option(
            "declarations",
            PATH,
            "FILE",
            "TOML file that declares what the stages under test support, and their "
            "known failures.",
        ),
        Option(
            "conformance_report",
            PATH,
            "PATH",
            "Write the verdicts on stages to PATH.json and PATH.md.",
        ),
        Option(
            "report",
            PATH,
            "FILE",
            "Write what the benchmarks of this session measured as an HTML page.",
        ),
        Option(
            "run_seconds",
            SECONDS,
            "SECONDS",
            "How long one run of a benchmark takes, about [0.25].",
        ),
        Option(
            "arrival_rate",
            RATE,
            "PER-SECOND",
            "Records that are due each second where latency is measured [1000].",
        ),
    ),
)
_BY_NAME = {option.name: option for option in OPTIONS.options}

#: The names of all settings.
SETTING_NAMES = tuple(_BY_NAME)


def read_settings(config: pytest.Config) -> PipelineSettings:
    """Read command line and ini file into one frozen value.

    Raises:
        pytest.UsageError: A value is wrong, or two contradict each other. The message
            names the option or ini key.
    """
    given = OPTIONS.given(config)
    return _checked(
        PipelineSettings(**{name: each.value for name, each in given.items()}),
        {name: each.source for name, each in given.items()},
    )


def settings_of(config: pytest.Config) -> PipelineSettings:
    """Return the settings of this session, as the plugin has read them."""
    return config.stash[SETTINGS]


def settings_given(config: pytest.Config) -> frozenset[str]:
    """Return the names of the settings that command line or ini file set."""
    return frozenset(OPTIONS.given(config))


def with_marks(
    base: PipelineSettings, marks: Iterable[pytest.Mark]
) -> PipelineSettings:
    """Return the settings of a test with these marks, the closest mark first.

    Raises:
        pytest.UsageError: A mark is wrong. The message names the setting.
    """
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for mark in reversed(list(marks)):
        if mark.args:
            raise pytest.UsageError(
                f"@pytest.mark.pipeline({mark.args[0]!r}): takes settings by name only"
            )
        for name, value in mark.kwargs.items():
            sources[name] = f"@pytest.mark.pipeline({name}={value!r})"
            values[name] = _converted(name, value, sources[name])
    return _checked(dataclasses.replace(base, **values), sources)


def with_values(base: PipelineSettings, where: str, **values: Any) -> PipelineSettings:
    """Return the settings with the arguments of a call that are not None.

    Args:
        base: The settings of the test.
        where: The name of the function that was called, for error messages.
        values: Its arguments, by the names of settings.

    Raises:
        pytest.UsageError: An argument is wrong. The message names it.
    """
    given = {name: value for name, value in values.items() if value is not None}
    sources = {name: f"{where}({name}={value!r})" for name, value in given.items()}
    converted = {
        name: _converted(name, value, sources[name]) for name, value in given.items()
    }
    return _checked(dataclasses.replace(base, **converted), sources)


def _converted(name: str, value: Any, source: str) -> Any:
    option = _BY_NAME.get(name)
    if option is None:
        known = ", ".join(_BY_NAME)
        raise pytest.UsageError(f"{source}: no such setting; there is {known}")
    try:
        return option.kind.convert(value)
    except (TypeError, ValueError) as error:
        raise pytest.UsageError(f"{source}: {error}") from error


def _checked(
    settings: PipelineSettings, sources: Mapping[str, str]
) -> PipelineSettings:
    """Return the settings; raise pytest.UsageError where two contradict each other."""

    def source(name: str) -> str:
        return sources.get(name) or f"{OPTIONS.flag(name)} {getattr(settings, name)}"

    if settings.servers == "external":
        for name, serving in settings.stage:
            if not is_address(serving):
                raise pytest.UsageError(
                    f"{source('servers')}: stage {name} is given by a command "
                    f"({serving}); external servers are given by their addresses"
                )
    if settings.tls_root is not None and settings.transport not in TLS_TRANSPORTS:
        raise pytest.UsageError(
            f"{source('tls_root')}: transport {settings.transport} has no TLS; add "
            f"--pipeline-transport tls"
        )
    if settings.transport == "mtls" and settings.servers == "external":
        raise pytest.UsageError(
            f"{source('transport')}: external servers don't know the certificates of "
            f"this session; give tls, and channel_credentials to stage_server"
        )
    if (
        settings.transport == "tls"
        and settings.servers == "external"
        and settings.tls_root is None
    ):
        raise pytest.UsageError(
            f"{source('transport')}: external servers need --pipeline-tls-root, the "
            f"PEM file that certifies them"
        )
    return settings
