"""Settings come from the command line, the ini file and the marker."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from pytest_pipeline.options import PipelineSettings, is_address
from tests.plugin.sessions import (
    seen_by,
    settings_of,
)

FIXTURES = (
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
)


@dataclass(frozen=True)
class Case:
    """Three values of one setting: as written, and as a test gets them."""

    name: str
    #: The text on the command line, and its value.
    text: str
    value: object
    #: The text in the ini file, and its value; it differs from the command line.
    ini_text: str
    ini_value: object
    #: The marker argument as Python source, and its value.
    mark: str
    mark_value: object
    #: Options without which the setting contradicts the defaults.
    needs: tuple[str, ...] = ()

    @property
    def option(self) -> str:
        """The option of the setting."""
        return f"--pipeline-{self.name.replace('_', '-')}"

    @property
    def ini(self) -> str:
        """An ini file that sets the setting."""
        return f"[pytest]\npipeline_{self.name} = {self.ini_text}\n"


CASES = [
    Case("batch_sizes", "2,3", (2, 3), "4, 5", (4, 5), "[6]", (6,)),
    Case(
        "workload",
        "mixed,events",
        ("mixed", "events"),
        "work-items",
        ("work-items",),
        "'mixed'",
        ("mixed",),
    ),
    Case("transport", "tcp", "tcp", "tls", "tls", "'unix'", "unix"),
    Case(
        "servers",
        "subprocess",
        "subprocess",
        "external",
        "external",
        "'inprocess'",
        "inprocess",
    ),
    Case(
        "stage",
        "parse=./serve --fast",
        (("parse", "./serve --fast"),),
        "rules=host:1",
        (("rules", "host:1"),),
        "{'sink': 'unix:/s', 'parse': './other'}",
        (("parse", "./other"), ("sink", "unix:/s")),
    ),
    Case("stages", "go", "go", "rust", "rust", "'parse=go'", "parse=go"),
    Case("events", "7", 7, "8", 8, "9", 9),
    Case("start_timeout", "2.5", 2.5, "3", 3.0, "4", 4.0),
    Case("fault_seed", "7", 7, "8", 8, "9", 9),
    Case(
        "tls_root",
        "a.pem",
        Path("a.pem"),
        "b.pem",
        Path("b.pem"),
        "'c.pem'",
        Path("c.pem"),
        needs=("--pipeline-transport", "tls"),
    ),
    Case("data", "a", Path("a"), "b", Path("b"), "'c'", Path("c")),
    Case("examples", "7", 7, "8", 8, "9", 9),
    Case("engines", "dask", ("dask",), "a,b", ("a", "b"), "'c'", ("c",)),
    Case("reply_timeout", "2.5", 2.5, "3", 3.0, "4", 4.0),
    Case("declarations", "a", Path("a"), "b", Path("b"), "'c'", Path("c")),
    Case("conformance_report", "a", Path("a"), "b", Path("b"), "'c'", Path("c")),
    Case("report", "a", Path("a"), "b", Path("b"), "'c'", Path("c")),
    Case("run_seconds", "2.5", 2.5, "3", 3.0, "4", 4.0),
    Case("arrival_rate", "2.5", 2.5, "3", 3.0, "4", 4.0),
]


each_setting = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def test_the_defaults(pytester: pytest.Pytester) -> None:
    """By default, stages run in the test process over Unix sockets."""
    assert settings_of(pytester) == PipelineSettings(
        batch_sizes=("auto", 1, 10, 100),
        workload=("events",),
        transport="unix",
        servers="inprocess",
        stage=(),
        events=1000,
        start_timeout=30.0,
        tls_root=None,
    )


@each_setting
def test_an_ini_key_is_over_the_default(pytester: pytest.Pytester, case: Case) -> None:
    """What the ini file says is in force where the command line says nothing."""
    pytester.makeini(case.ini)
    settings = settings_of(pytester, *case.needs)

    assert getattr(settings, case.name) == case.ini_value


@each_setting
def test_an_option_overrides_the_ini_key(pytester: pytest.Pytester, case: Case) -> None:
    """The command line wins over the ini file."""
    pytester.makeini(case.ini)
    settings = settings_of(pytester, *case.needs, case.option, case.text)

    assert getattr(settings, case.name) == case.value


@each_setting
def test_a_marker_overrides_option_and_ini_key(
    pytester: pytest.Pytester, case: Case
) -> None:
    """A test's own marker wins over the command line and the ini file."""
    pytester.makeini(case.ini)
    settings = settings_of(
        pytester,
        *case.needs,
        case.option,
        case.text,
        mark=f"{case.name}={case.mark}",
    )

    assert getattr(settings, case.name) == case.mark_value


@pytest.mark.parametrize("table", ["tool.pytest", "tool.pytest.ini_options"])
def test_pyproject_toml_sets_settings(pytester: pytest.Pytester, table: str) -> None:
    """Both of pytest's tables in pyproject.toml are read."""
    pytester.makepyprojecttoml(
        f"""
        [{table}]
        pipeline_batch_sizes = "5"
        pipeline_start_timeout = "1.5"
        pipeline_stage = ["parse=./serve --fast", "sink=unix:/sink"]
        """
    )

    assert settings_of(pytester) == PipelineSettings(
        batch_sizes=(5,),
        start_timeout=1.5,
        stage=(("parse", "./serve --fast"), ("sink", "unix:/sink")),
    )


def test_the_stage_option_is_repeatable(pytester: pytest.Pytester) -> None:
    """Each use names one stage; a command may contain an equals sign."""
    settings = settings_of(
        pytester,
        "--pipeline-stage=sink=host:50051",
        "--pipeline-stage",
        "parse = ./serve --level=2 ",
    )

    assert settings.serving == {"parse": "./serve --level=2", "sink": "host:50051"}


def test_the_ini_file_lists_stages_one_per_line(pytester: pytest.Pytester) -> None:
    """A stage per line, as ini files list values."""
    pytester.makeini(
        """
        [pytest]
        pipeline_stage =
            sink=host:50051
            parse=./serve
        """
    )

    assert settings_of(pytester).serving == {"parse": "./serve", "sink": "host:50051"}


def test_stages_of_the_command_line_replace_those_of_the_ini_file(
    pytester: pytest.Pytester,
) -> None:
    """Stages are not merged across the two places."""
    pytester.makeini("[pytest]\npipeline_stage = parse=./serve\n")

    assert settings_of(pytester, "--pipeline-stage=sink=./s").serving == {"sink": "./s"}


@pytest.mark.parametrize(
    "mark", ["batch_sizes=6", "batch_sizes=(6,)", "batch_sizes=range(6, 7)"]
)
def test_a_marker_takes_one_batch_size_or_several(
    pytester: pytest.Pytester, mark: str
) -> None:
    """A single number needs no brackets, and any iterable of numbers works."""
    assert settings_of(pytester, mark=mark).batch_sizes == (6,)


@pytest.mark.parametrize("mark", ["workload='mixed'", "workload=['mixed']"])
def test_a_marker_takes_one_workload_or_several(
    pytester: pytest.Pytester, mark: str
) -> None:
    """A single name needs no brackets."""
    assert settings_of(pytester, mark=mark).workload == ("mixed",)


def test_markers_combine_and_the_closest_wins(
    pytester: pytest.Pytester,
) -> None:
    """A test's marker overrides its class's, which overrides its module's."""
    seen = seen_by(
        pytester,
        """
        import pytest

        pytestmark = pytest.mark.pipeline(events=1, start_timeout=1, transport="tcp")

        @pytest.mark.pipeline(events=2, start_timeout=2)
        class TestIt:
            @pytest.mark.pipeline(events=3)
            def test_inner(self, pipeline_settings): pass

        def test_outer(pipeline_settings): pass
        """,
    )

    assert seen["test_inner"]["pipeline_settings"] == PipelineSettings(
        events=3, start_timeout=2.0, transport="tcp"
    )
    assert seen["test_outer"]["pipeline_settings"] == PipelineSettings(
        events=1, start_timeout=1.0, transport="tcp"
    )


def test_a_marker_affects_its_own_test_only(pytester: pytest.Pytester) -> None:
    """Other tests keep their settings, and equal settings are one object."""
    seen = seen_by(
        pytester,
        """
        import pytest

        def test_a(pipeline_settings): pass

        @pytest.mark.pipeline(events=5)
        def test_b(pipeline_settings): pass

        def test_c(pipeline_settings): pass

        @pytest.mark.pipeline(events=5)
        def test_d(pipeline_settings): pass
        """,
    )
    a, b, c, d = (seen[f"test_{x}"]["pipeline_settings"] for x in "abcd")

    assert (a.events, b.events) == (1000, 5)
    assert a is c
    assert b is d


@pytest.mark.parametrize(
    "text", ["localhost:50051", "127.0.0.1:1", "[::1]:50051", "unix:/run/a.sock"]
)
def test_an_address_is_recognised_by_its_form(text: str) -> None:
    """HOST:PORT, an IPv6 address in brackets, and unix:PATH are addresses."""
    assert is_address(text)


@pytest.mark.parametrize(
    "text",
    ["./serve", "python -m serve", "serve --on host:1", "./a:1", "host:", ":1", "::1"],
)
def test_anything_else_is_a_command(text: str) -> None:
    """Text is a command even if one of its words is an address."""
    assert not is_address(text)


def test_the_header_shows_the_settings(pytester: pytest.Pytester) -> None:
    """The session header has one line of settings, also for the defaults."""
    result = pytester.runpytest_inprocess()

    result.stdout.fnmatch_lines(
        "pipeline: inprocess servers over unix; batch sizes auto, 1, 10, 100; "
        "workload events"
    )


def test_the_header_lists_the_stages_that_are_set(pytester: pytest.Pytester) -> None:
    """Their addresses follow the other settings."""
    pytester.makeini("[pytest]\npipeline_servers = external\n")
    result = pytester.runpytest_inprocess(
        "--pipeline-transport=tcp",
        "--pipeline-batch-sizes=5",
        "--pipeline-workload=mixed,events",
        "--pipeline-stage=sink=host:2",
        "--pipeline-stage=parse=host:1",
    )

    result.stdout.fnmatch_lines(
        "pipeline: external servers over tcp; batch sizes 5; workload mixed, events; "
        "parse=host:1; sink=host:2"
    )


def test_help_shows_each_option_and_ini_key(pytester: pytest.Pytester) -> None:
    """The options form a group of their own."""
    shown = pytester.runpytest_inprocess("--help").stdout.str()
    group = shown.partition("\nstreaming gRPC stages:\n")[2].partition("\n\n")[0]

    for case in CASES:
        assert f"\n  {case.option}=" in f"\n{group}"
        assert f"\n  pipeline_{case.name} (" in shown


def test_markers_shows_the_marker(pytester: pytest.Pytester) -> None:
    """Pytest --markers lists every setting that the marker takes."""
    shown = pytester.runpytest_inprocess("--markers").stdout.str()
    _, found, rest = shown.partition("@pytest.mark.pipeline(")

    assert found
    assert rest.partition(")")[0].split(", ") == [case.name for case in CASES]


def test_the_marker_is_known_where_markers_are_strict(
    pytester: pytest.Pytester,
) -> None:
    """The plugin registers its marker, so --strict-markers accepts it."""
    assert settings_of(pytester, "--strict-markers", mark="events=5").events == 5


def test_fixtures_shows_each_fixture_with_a_sentence(
    pytester: pytest.Pytester,
) -> None:
    """The first line of each docstring is a whole sentence."""
    lines = pytester.runpytest_inprocess("--fixtures").outlines
    says = {
        line.split()[0]: following.strip()
        for line, following in pairwise(lines)
        if " -- " in line and "pytest_pipeline" in line
    }

    assert sorted(says) == sorted(FIXTURES)
    assert all(
        text.endswith(".") and "no docstring" not in text for text in says.values()
    )
