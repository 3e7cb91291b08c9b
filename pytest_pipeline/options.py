"""The plugin's settings: one frozen value from options, ini file and marker.

Every setting has one name, which the option, the ini key and the marker share:
``--pipeline-start-timeout 5``, ``pipeline_start_timeout = 5``,
``@pytest.mark.pipeline(start_timeout=5)``.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeGuard, get_args

import pytest

Transport = Literal["unix", "tcp", "tls"]
Hosting = Literal["inprocess", "subprocess", "external"]

MARKER = "pipeline"

#: Where the plugin keeps the settings of a session.
SETTINGS = pytest.StashKey["PipelineSettings"]()

_ADDRESS = re.compile(r"unix:\S+|(\[[^\]\s]+\]|[^:\[\]\s/]+):\d{1,5}")


@dataclass(frozen=True)
class PipelineSettings:
    """What is in force for a test."""

    #: Records in a batch; a test that runs the pipeline runs once for each.
    batch_sizes: tuple[int, ...] = (1, 10, 100)
    #: Names that `workload_named` knows; a test runs once for each.
    workload: tuple[str, ...] = ("events",)
    transport: Transport = "unix"
    servers: Hosting = "inprocess"
    #: Stage names with the command or the address that serves each.
    stage: tuple[tuple[str, str], ...] = ()
    #: Records of a run that is given none.
    events: int = 1000
    #: Seconds that a server has to become ready.
    start_timeout: float = 30.0
    #: PEM file of what certifies servers that run already.
    tls_root: Path | None = None
    #: Input that the suites take records from, for a workload that reads one.
    data: Path | None = None
    #: Streams that the suites try for each property.
    examples: int = 100
    #: Seconds that a stage which is checked has to answer.
    reply_timeout: float = 10.0
    #: TOML file of what the stages that are checked are declared to do.
    declarations: Path | None = None
    #: Where the verdicts on stages are written, as .json and as .md.
    conformance_report: Path | None = None
    #: Where the page of the benchmarks is written.
    report: Path | None = None
    #: Seconds that a run of a benchmark is to take.
    run_seconds: float = 0.25
    #: Records per second that are due where latency is measured.
    arrival_rate: float = 1000.0

    @property
    def stages(self) -> Mapping[str, str]:
        """The command or address of each stage that has one."""
        return dict(self.stage)


@dataclass(frozen=True)
class _Setting:
    """How one setting is written and read."""

    name: str
    #: Reads the text of an option or ini key; raises ValueError.
    parse: Callable[[str], Any]
    #: Turns what a marker says into the same; raises ValueError.
    convert: Callable[[Any], Any]
    metavar: str
    help: str
    repeats: bool = False

    @property
    def option(self) -> str:
        return f"--pipeline-{self.name.replace('_', '-')}"

    @property
    def ini(self) -> str:
        return f"pipeline_{self.name}"


def is_address(text: str) -> bool:
    """Say whether a server is meant that runs already: HOST:PORT or unix:PATH."""
    return _ADDRESS.fullmatch(text) is not None


def _sizes(value: Any) -> tuple[int, ...]:
    sizes = (value,) if isinstance(value, int) else tuple(value)
    if not sizes or not all(_is_whole(size) and size >= 1 for size in sizes):
        raise ValueError("must be numbers from 1, such as 1,10,100")
    if len(set(sizes)) < len(sizes):
        raise ValueError("has a number twice")
    return sizes


def _parse_sizes(text: str) -> tuple[int, ...]:
    words = [word.strip() for word in text.split(",")]
    return _sizes([int(word) if word.isdecimal() else 0 for word in words])


def _names(value: Any) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else tuple(value)
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ValueError("must be names, such as events,work-items")
    if len(set(names)) < len(names):
        raise ValueError("has a name twice")
    return names


def _parse_names(text: str) -> tuple[str, ...]:
    return _names([word.strip() for word in text.split(",")])


def _one_of(choices: tuple[str, ...]) -> Callable[[Any], str]:
    def choose(value: Any) -> str:
        if isinstance(value, str) and value in choices:
            return value
        raise ValueError(f"must be one of {', '.join(choices)}")

    return choose


def _stages(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, Mapping):
        raise ValueError("must be a mapping of stage names to commands or addresses")  # noqa: TRY004
    for name, serving in value.items():
        if not (isinstance(name, str) and name and isinstance(serving, str)):
            raise ValueError("must map the name of a stage to a command or an address")
        if not serving.strip():
            raise ValueError(f"says nothing of what serves stage {name}")
    return tuple(sorted(value.items()))


def _parse_stage(text: str) -> tuple[tuple[str, str], ...]:
    name, equals, serving = text.partition("=")
    if not (equals and name.strip() and serving.strip()):
        raise ValueError("must be NAME=COMMAND or NAME=ADDRESS")
    return ((name.strip(), serving.strip()),)


def _count(value: Any) -> int:
    if not _is_whole(value) or value < 1:
        raise ValueError("must be a number from 1")
    return value


def _seconds(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError("must be seconds, more than 0")  # noqa: TRY004
    if not 0 < value < math.inf:
        raise ValueError("must be seconds, more than 0")
    return float(value)


def parse_seconds(text: str) -> float:
    """Read seconds, more than 0; raise ValueError for anything else."""
    try:
        return _seconds(float(text))
    except ValueError:
        raise ValueError("must be seconds, more than 0") from None


def _rate(value: Any) -> float:
    try:
        return _seconds(value)
    except ValueError:
        raise ValueError("must be records per second, more than 0") from None


def _parse_rate(text: str) -> float:
    try:
        return _rate(float(text))
    except ValueError:
        raise ValueError("must be records per second, more than 0") from None


def _path(value: Any) -> Path:
    if not str(value):
        raise ValueError("must be the path of a file")
    return Path(value)


def _is_whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


_SETTINGS = (
    _Setting(
        "batch_sizes",
        _parse_sizes,
        _sizes,
        "N,…",
        "Records in a batch; tests that run the pipeline run once for each [1,10,100].",
    ),
    _Setting(
        "workload",
        _parse_names,
        _names,
        "NAME,…",
        "events, work-items, mixed, or package.module:name of your own; tests run once "
        "for each [events].",
    ),
    _Setting(
        "transport",
        _one_of(get_args(Transport)),
        _one_of(get_args(Transport)),
        "unix|tcp|tls",
        "How stage servers are reached [unix].",
    ),
    _Setting(
        "servers",
        _one_of(get_args(Hosting)),
        _one_of(get_args(Hosting)),
        "inprocess|subprocess|external",
        "Where stage servers live: in threads of the test process, in processes of "
        "their own, or started by somebody else [inprocess].",
    ),
    _Setting(
        "stage",
        _parse_stage,
        _stages,
        "NAME=COMMAND|ADDRESS",
        "What serves a stage: a command of any language, or HOST:PORT or unix:PATH of "
        "a server that runs already; repeat it for more stages.",
        repeats=True,
    ),
    _Setting(
        "events",
        lambda text: _count(int(text) if text.strip().isdecimal() else 0),
        _count,
        "N",
        "Records of a run that is given none [1000].",
    ),
    _Setting(
        "start_timeout",
        parse_seconds,
        _seconds,
        "SECONDS",
        "How long a server may take to become ready [30].",
    ),
    _Setting(
        "tls_root",
        _path,
        _path,
        "PATH",
        "PEM file to trust, for servers that run already under TLS.",
    ),
    _Setting(
        "data",
        _path,
        _path,
        "FILE",
        "Input that the shipped suites take records from, for a workload of your own "
        "that reads one.",
    ),
    _Setting(
        "examples",
        lambda text: _count(int(text) if text.strip().isdecimal() else 0),
        _count,
        "N",
        "Streams that the suite of invariance tries for each property [100].",
    ),
    _Setting(
        "reply_timeout",
        parse_seconds,
        _seconds,
        "SECONDS",
        "How long a stage may take to answer in the suite of conformance [10].",
    ),
    _Setting(
        "declarations",
        _path,
        _path,
        "FILE",
        "TOML file of what the stages are declared to do, and their known failures.",
    ),
    _Setting(
        "conformance_report",
        _path,
        _path,
        "PATH",
        "Write the verdicts on stages to PATH.json and PATH.md.",
    ),
    _Setting(
        "report",
        _path,
        _path,
        "FILE",
        "Write what the benchmarks of this session have measured as a page.",
    ),
    _Setting(
        "run_seconds",
        parse_seconds,
        _seconds,
        "SECONDS",
        "How long a run of a benchmark is to take, about [0.25].",
    ),
    _Setting(
        "arrival_rate",
        _parse_rate,
        _rate,
        "PER-SECOND",
        "Records that are due each second where latency is measured [1000].",
    ),
)
_BY_NAME = {setting.name: setting for setting in _SETTINGS}

#: The names of all settings.
SETTING_NAMES = tuple(_BY_NAME)


def add_options(parser: pytest.Parser) -> None:
    """Declare every option and ini key."""
    group = parser.getgroup("pipeline", "streaming gRPC stages")
    for setting in _SETTINGS:
        group.addoption(
            setting.option,
            action="append" if setting.repeats else "store",
            dest=setting.ini,
            metavar=setting.metavar,
            help=setting.help,
        )
        kind: Literal["linelist", "string"] = (
            "linelist" if setting.repeats else "string"
        )
        parser.addini(
            setting.ini, f"Default of {setting.option}.", type=kind, default=None
        )


def read_settings(config: pytest.Config) -> PipelineSettings:
    """Read command line and ini file into one frozen value.

    Raises pytest.UsageError that names the option or ini key where one makes no sense
    or contradicts another.
    """
    values: dict[str, Any] = {}
    said: dict[str, str] = {}
    for setting in _SETTINGS:
        for source, texts in (
            (setting.option, config.getoption(setting.ini)),
            (f"ini key {setting.ini}", config.getini(setting.ini)),
        ):
            # An option that may be repeated and is not given is an empty list.
            if texts is None or texts == []:
                continue
            given = _texts(setting, texts)
            parsed = [_read(source, text, setting.parse) for text in given]
            values[setting.name] = (
                _once_each(source, parsed) if setting.repeats else parsed[0]
            )
            said[setting.name] = f"{source} {' '.join(given)}"
            break
    return _checked(PipelineSettings(**values), said)


def settings_of(config: pytest.Config) -> PipelineSettings:
    """Return the settings of this session, as the plugin has read them."""
    return config.stash[SETTINGS]


def settings_given(config: pytest.Config) -> frozenset[str]:
    """Return the names of the settings that command line or ini file say."""
    return frozenset(
        setting.name
        for setting in _SETTINGS
        for texts in (config.getoption(setting.ini), config.getini(setting.ini))
        if texts is not None and texts != []
    )


def _once_each(
    source: str, given: Iterable[tuple[tuple[str, str], ...]]
) -> tuple[tuple[str, str], ...]:
    """Return the stages of all; raise pytest.UsageError for one given twice."""
    stages: dict[str, str] = {}
    for ((name, serving),) in given:
        if name in stages:
            raise pytest.UsageError(f"{source} {name}={serving}: stage given twice")
        stages[name] = serving
    return _stages(stages)


def _texts(setting: _Setting, value: Any) -> list[str]:
    """Return what was written; what is no text can't be read, and is then refused."""
    if setting.repeats and not isinstance(value, str):
        return [str(word) for word in value]
    return [str(value)]


def with_marks(
    base: PipelineSettings, marks: Iterable[pytest.Mark]
) -> PipelineSettings:
    """Return the settings of a test with these marks, the closest mark first.

    Raises pytest.UsageError that names the setting where a mark makes no sense.
    """
    values: dict[str, Any] = {}
    said: dict[str, str] = {}
    for mark in reversed(list(marks)):
        if mark.args:
            raise pytest.UsageError(
                f"@pytest.mark.pipeline({mark.args[0]!r}): takes settings by name only"
            )
        for name, value in mark.kwargs.items():
            said[name] = f"@pytest.mark.pipeline({name}={value!r})"
            values[name] = _read_value(name, value, said[name])
    return _checked(dataclasses.replace(base, **values), said)


def with_values(base: PipelineSettings, where: str, **values: Any) -> PipelineSettings:
    """Return the settings with those that are given (not None) as arguments.

    ``where`` names what takes them. Raises pytest.UsageError as `with_marks`.
    """
    given = {name: value for name, value in values.items() if value is not None}
    said = {name: f"{where}({name}={value!r})" for name, value in given.items()}
    read = {name: _read_value(name, value, said[name]) for name, value in given.items()}
    return _checked(dataclasses.replace(base, **read), said)


def _read_value(name: str, value: Any, said: str) -> Any:
    setting = _BY_NAME.get(name)
    if setting is None:
        known = ", ".join(_BY_NAME)
        raise pytest.UsageError(f"{said}: no such setting; there is {known}")
    try:
        return setting.convert(value)
    except (TypeError, ValueError) as error:
        raise pytest.UsageError(f"{said}: {error}") from error


def _read(source: str, text: str, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(text)
    except ValueError as error:
        raise pytest.UsageError(f"{source} {text}: {error}") from error


def _checked(settings: PipelineSettings, said: Mapping[str, str]) -> PipelineSettings:
    """Return the settings; raise pytest.UsageError where two contradict each other."""

    def say(name: str) -> str:
        return said.get(name) or f"{_BY_NAME[name].option} {getattr(settings, name)}"

    if settings.servers == "external":
        for name, serving in settings.stage:
            if not is_address(serving):
                raise pytest.UsageError(
                    f"{say('servers')}: stage {name} is given by a command "
                    f"({serving}); external servers are given by their addresses"
                )
    if settings.tls_root is not None and settings.transport != "tls":
        raise pytest.UsageError(
            f"{say('tls_root')}: transport {settings.transport} has no TLS; add "
            f"--pipeline-transport tls"
        )
    if (
        settings.transport == "tls"
        and settings.servers == "external"
        and settings.tls_root is None
    ):
        raise pytest.UsageError(
            f"{say('transport')}: external servers need --pipeline-tls-root, the PEM "
            f"file that certifies them"
        )
    return settings
