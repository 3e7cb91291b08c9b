"""The settings: from the command line, from the ini file and from the marker."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pipeline.workloads import workload_named
from pytest_pipeline.options import PipelineSettings, is_address

FIXTURES = (
    "aggregate_stage",
    "fake_clock",
    "ingest_stage",
    "parse_stage",
    "pipeline_batch_size",
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

# Imported here, since a run of pytest within pytest unloads what it is the first to
# import, and numpy can't be imported twice.
EVENTS = workload_named("events")
MIXED = workload_named("mixed")

ASKS = "def test_x(pipeline_settings): pass"


@dataclass(frozen=True)
class Case:
    """Three values of one setting, as they are written and as a test sees them."""

    name: str
    #: What the command line says, and what it means.
    text: str
    value: object
    #: What the ini file says where the command line says something else.
    ini_text: str
    ini_value: object
    #: What the marker says, as Python, and what it means.
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
        """An ini file that gives the setting."""
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
    Case("events", "7", 7, "8", 8, "9", 9),
    Case("start_timeout", "2.5", 2.5, "3", 3.0, "4", 4.0),
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
    Case("reply_timeout", "2.5", 2.5, "3", 3.0, "4", 4.0),
    Case("declarations", "a", Path("a"), "b", Path("b"), "'c'", Path("c")),
    Case("conformance_report", "a", Path("a"), "b", Path("b"), "'c'", Path("c")),
]
each_setting = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)

# Values that make no sense, as an option or an ini key has them.
BAD = [
    ("batch_sizes", "0"),
    ("batch_sizes", "-1"),
    ("batch_sizes", "1.5"),
    ("batch_sizes", "ten"),
    ("batch_sizes", "1,,2"),
    ("batch_sizes", "2,2"),
    ("workload", ","),
    ("workload", "events,"),
    ("workload", "events,events"),
    ("transport", "udp"),
    ("transport", "TCP"),
    ("servers", "elsewhere"),
    ("stage", "parse"),
    ("stage", "=./serve"),
    ("stage", "parse="),
    ("events", "0"),
    ("events", "-1"),
    ("events", "1.5"),
    ("events", "many"),
    ("start_timeout", "0"),
    ("start_timeout", "-1"),
    ("start_timeout", "nan"),
    ("start_timeout", "inf"),
    ("transport", ""),
    ("tls_root", ""),
    ("start_timeout", "long"),
]

BAD_MARKS = [
    "batch_sizes=0",
    "batch_sizes=()",
    "batch_sizes=(1, 1)",
    "batch_sizes='10'",
    "batch_sizes=True",
    "batch_sizes=None",
    "batch_sizes=1.5",
    "workload=''",
    "workload=[]",
    "workload=['mixed', 'mixed']",
    "workload=3",
    "transport='udp'",
    "transport=None",
    "servers='elsewhere'",
    "stage='parse=./serve'",
    "stage={'parse': 3}",
    "stage={'parse': ' '}",
    "stage={'': './serve'}",
    "events=0",
    "events='7'",
    "events=True",
    "start_timeout=0",
    "start_timeout='2'",
    "start_timeout=True",
    "start_timeout=-1.5",
    "tls_root=3",
    "tls_root=''",
]

# Settings that contradict each other, the one that the message is to name first.
EXTERNAL_COMMAND = (("servers", "external"), ("stage", "parse=./serve"))
ROOT_WITHOUT_TLS = (("tls_root", "root.pem"), ("transport", "tcp"))
TLS_WITHOUT_ROOT = (("transport", "tls"), ("servers", "external"))
CONTRADICTIONS = [
    pytest.param(EXTERNAL_COMMAND, "stage parse is given by a command", id="command"),
    pytest.param(ROOT_WITHOUT_TLS, "transport tcp has no TLS", id="root-without-tls"),
    pytest.param(TLS_WITHOUT_ROOT, "need --pipeline-tls-root", id="tls-without-root"),
]


# Compared by identity, for pytest keeps plugins in a set.
@dataclass(eq=False)
class Spy:
    """Notes which tests ran, and what their fixtures gave them."""

    seen: dict[str, dict[str, Any]] = field(default_factory=dict)

    def pytest_runtest_call(self, item: pytest.Function) -> None:
        """Note one."""
        self.seen[item.name] = item.funcargs


def seen_by(
    pytester: pytest.Pytester, source: str, *options: str
) -> dict[str, dict[str, Any]]:
    """Run tests, all of which pass; return what the fixtures gave each."""
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
    """Run one test, with this marker if there is one; return its settings."""
    marked = f"import pytest\n@pytest.mark.pipeline({mark})\n{ASKS}" if mark else ASKS
    settings = seen_by(pytester, marked, *options)["test_x"]["pipeline_settings"]
    assert isinstance(settings, PipelineSettings)
    return settings


def usage_error(pytester: pytest.Pytester, *options: str) -> str:
    """Run pytest, which is not to start; return its message."""
    pytester.makepyfile(ASKS)
    result = pytester.runpytest_inprocess(*options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    return result.stderr.str()


def collection_error(pytester: pytest.Pytester, mark: str, *options: str) -> str:
    """Run one test with a marker that makes no sense; return what pytest shows."""
    pytester.makepyfile(f"import pytest\n@pytest.mark.pipeline({mark})\n{ASKS}")
    result = pytester.runpytest_inprocess(*options)
    result.assert_outcomes(errors=1)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    return result.stdout.str()


def ids(pytester: pytest.Pytester, source: str, *options: str) -> list[str]:
    """Return the names of the tests that pytest collects."""
    pytester.makepyfile(source)
    items, _ = pytester.inline_genitems("-p", "no:cacheprovider", *options)
    return [item.name for item in items]


def test_the_defaults(pytester: pytest.Pytester) -> None:
    """Without a word, stages run in the test process over Unix sockets."""
    assert settings_of(pytester) == PipelineSettings(
        batch_sizes=(1, 10, 100),
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
def test_an_option_is_over_the_ini_key(pytester: pytest.Pytester, case: Case) -> None:
    """The command line has the last word of the two."""
    pytester.makeini(case.ini)
    settings = settings_of(pytester, *case.needs, case.option, case.text)

    assert getattr(settings, case.name) == case.value


@each_setting
def test_a_marker_is_over_both(pytester: pytest.Pytester, case: Case) -> None:
    """What the test itself says is in force whatever the others say."""
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
def test_pyproject_gives_settings(pytester: pytest.Pytester, table: str) -> None:
    """Under either of its tables."""
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


def test_a_stage_that_is_given_twice_is_a_usage_error(
    pytester: pytest.Pytester,
) -> None:
    """Rather than the last one counting."""
    message = usage_error(
        pytester, "--pipeline-stage=parse=./a", "--pipeline-stage=parse=./b"
    )

    assert "--pipeline-stage parse=./b: stage given twice" in message


def test_stages_are_given_one_by_one(pytester: pytest.Pytester) -> None:
    """The option is repeated, and what it gives may hold an equals sign itself."""
    settings = settings_of(
        pytester,
        "--pipeline-stage=sink=host:50051",
        "--pipeline-stage",
        "parse = ./serve --level=2 ",
    )

    assert settings.stages == {"parse": "./serve --level=2", "sink": "host:50051"}


def test_stages_of_the_ini_file_have_a_line_each(pytester: pytest.Pytester) -> None:
    """As lists have in ini files."""
    pytester.makeini(
        """
        [pytest]
        pipeline_stage =
            sink=host:50051
            parse=./serve
        """
    )

    assert settings_of(pytester).stages == {"parse": "./serve", "sink": "host:50051"}


def test_stages_of_the_command_line_replace_those_of_the_ini_file(
    pytester: pytest.Pytester,
) -> None:
    """A setting comes from one place as a whole."""
    pytester.makeini("[pytest]\npipeline_stage = parse=./serve\n")

    assert settings_of(pytester, "--pipeline-stage=sink=./s").stages == {"sink": "./s"}


@pytest.mark.parametrize(
    "mark", ["batch_sizes=6", "batch_sizes=(6,)", "batch_sizes=range(6, 7)"]
)
def test_a_marker_takes_one_batch_size_or_several(
    pytester: pytest.Pytester, mark: str
) -> None:
    """A single number needs no brackets, and any iterable is fine."""
    assert settings_of(pytester, mark=mark).batch_sizes == (6,)


@pytest.mark.parametrize("mark", ["workload='mixed'", "workload=['mixed']"])
def test_a_marker_takes_one_workload_or_several(
    pytester: pytest.Pytester, mark: str
) -> None:
    """A single name needs no brackets."""
    assert settings_of(pytester, mark=mark).workload == ("mixed",)


def test_markers_add_up_and_the_closest_is_over_the_others(
    pytester: pytest.Pytester,
) -> None:
    """The test's own, then its class's, then its module's."""
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


def test_a_marker_is_for_its_test_alone(pytester: pytest.Pytester) -> None:
    """Tests before and after it have their own settings; equal ones are one object."""
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


@pytest.mark.parametrize(("name", "text"), BAD)
def test_a_bad_option_is_a_usage_error(
    pytester: pytest.Pytester, name: str, text: str
) -> None:
    """The message has the option, its value and what is wrong."""
    option = f"--pipeline-{name.replace('_', '-')}"
    message = usage_error(pytester, f"{option}={text}")

    assert f"{option} {text}: " in message
    assert ": must be " in message or " twice" in message


@pytest.mark.parametrize(("name", "text"), dict(BAD).items())
def test_a_bad_ini_key_is_a_usage_error(
    pytester: pytest.Pytester, name: str, text: str
) -> None:
    """The message has the key, its value and what is wrong."""
    pytester.makeini(f"[pytest]\npipeline_{name} = {text}\n")
    message = usage_error(pytester)

    assert f"ini key pipeline_{name} {text}: " in message
    assert ": must be " in message or " twice" in message


def test_a_bad_marker_is_a_collection_error(pytester: pytest.Pytester) -> None:
    """The message has the test, the setting and its value."""
    modules = {
        f"test_{number}": f"import pytest\n@pytest.mark.pipeline({mark})\n{ASKS}"
        for number, mark in enumerate(BAD_MARKS)
    }
    pytester.makepyfile(**modules)
    result = pytester.runpytest_inprocess()
    shown = result.stdout.str()

    result.assert_outcomes(errors=len(BAD_MARKS))
    assert result.ret == pytest.ExitCode.INTERRUPTED
    for number, mark in enumerate(BAD_MARKS):
        where = f"test_{number}.py::test_x: usage error: @pytest.mark.pipeline({mark}"
        assert f"{where}): " in shown


def test_an_unknown_setting_of_a_marker_lists_the_known(
    pytester: pytest.Pytester,
) -> None:
    """So a slip of the pen is found at once."""
    shown = collection_error(pytester, "evnts=3")

    assert "@pytest.mark.pipeline(evnts=3): no such setting; there is " in shown
    assert all(case.name in shown for case in CASES)


def test_a_marker_is_read_where_no_fixture_asks_for_it(
    pytester: pytest.Pytester,
) -> None:
    """What is wrong with it is wrong there too."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.pipeline(evnts=3)
        def test_x():
            pass
        """
    )

    pytester.runpytest_inprocess().assert_outcomes(errors=1)


def test_a_marker_takes_no_setting_without_its_name(pytester: pytest.Pytester) -> None:
    """The message shows what was given."""
    shown = collection_error(pytester, "'tcp'")

    assert "@pytest.mark.pipeline('tcp'): takes settings by name only" in shown


@pytest.mark.parametrize(("given", "why"), CONTRADICTIONS)
def test_options_that_contradict_each_other_are_a_usage_error(
    pytester: pytest.Pytester, given: tuple[tuple[str, str], ...], why: str
) -> None:
    """The message names one of them and says what is wrong with the other."""
    options = [(f"--pipeline-{name.replace('_', '-')}", value) for name, value in given]
    message = usage_error(pytester, *(word for option in options for word in option))

    assert f"{' '.join(options[0])}: " in message
    assert why in message


@pytest.mark.parametrize(("given", "why"), CONTRADICTIONS)
def test_ini_keys_that_contradict_each_other_are_a_usage_error(
    pytester: pytest.Pytester, given: tuple[tuple[str, str], ...], why: str
) -> None:
    """The message names one of them and says what is wrong with the other."""
    lines = [f"pipeline_{name} = {value}\n" for name, value in given]
    pytester.makeini("[pytest]\n" + "".join(lines))
    message = usage_error(pytester)

    assert f"ini key pipeline_{' '.join(given[0])}: " in message
    assert why in message


@pytest.mark.parametrize(
    ("mark", "options", "why"),
    [
        pytest.param(
            "servers='external'",
            ("--pipeline-stage=parse=./serve",),
            "stage parse is given by a command (./serve)",
            id="command",
        ),
        pytest.param(
            "tls_root='root.pem'", (), "transport unix has no TLS", id="root-alone"
        ),
        pytest.param(
            "transport='tls'",
            ("--pipeline-servers=external",),
            "external servers need --pipeline-tls-root",
            id="tls-without-root",
        ),
    ],
)
def test_a_marker_that_contradicts_the_options_is_a_collection_error(
    pytester: pytest.Pytester, mark: str, options: tuple[str, ...], why: str
) -> None:
    """The message names the marker's setting and says what is wrong with the other."""
    shown = collection_error(pytester, mark, *options)

    assert f"usage error: @pytest.mark.pipeline({mark}): {why}" in shown


def test_servers_that_run_already_may_be_under_tls(pytester: pytest.Pytester) -> None:
    """Where their addresses are given, and what certifies them."""
    settings = settings_of(
        pytester,
        "--pipeline-servers=external",
        "--pipeline-transport=tls",
        "--pipeline-tls-root=root.pem",
        "--pipeline-stage=parse=localhost:50051",
    )

    assert settings == PipelineSettings(
        servers="external",
        transport="tls",
        tls_root=Path("root.pem"),
        stage=(("parse", "localhost:50051"),),
    )


@pytest.mark.parametrize(
    "text", ["localhost:50051", "127.0.0.1:1", "[::1]:50051", "unix:/run/a.sock"]
)
def test_an_address_is_known_by_its_form(text: str) -> None:
    """HOST:PORT, an IPv6 address in brackets, or a Unix socket."""
    assert is_address(text)


@pytest.mark.parametrize(
    "text",
    ["./serve", "python -m serve", "serve --on host:1", "./a:1", "host:", ":1", "::1"],
)
def test_anything_else_is_a_command(text: str) -> None:
    """Also where there is an address among its words."""
    assert not is_address(text)


def test_a_test_runs_once_for_each_batch_size(pytester: pytest.Pytester) -> None:
    """And sees them in the order in which they are given."""
    seen = seen_by(
        pytester,
        "def test_x(pipeline_batch_size): pass",
        "--pipeline-batch-sizes=7,1",
    )

    assert {name: given["pipeline_batch_size"] for name, given in seen.items()} == {
        "test_x[7]": 7,
        "test_x[1]": 1,
    }
    assert list(seen) == ["test_x[7]", "test_x[1]"]


def test_a_test_runs_once_for_each_workload(pytester: pytest.Pytester) -> None:
    """One's own, given by where it is, is among them."""
    pytester.makepyfile(mine="from pipeline.workloads.events import EVENTS as MINE")
    seen = seen_by(
        pytester,
        "def test_x(pipeline_workload): pass",
        "--pipeline-workload=events,mixed,mine:MINE",
    )
    workloads = {name: given["pipeline_workload"] for name, given in seen.items()}

    assert workloads.pop("test_x[mine:MINE]").name == "mine:MINE"
    assert workloads == {"test_x[events]": EVENTS, "test_x[mixed]": MIXED}


def test_a_test_runs_once_for_each_pair(pytester: pytest.Pytester) -> None:
    """Of workload and batch size, where it asks for both."""
    names = ids(
        pytester,
        "def test_x(pipeline_batch_size, pipeline_workload): pass",
        "--pipeline-workload=events,mixed",
        "--pipeline-batch-sizes=1,2",
    )

    assert sorted(names) == [
        "test_x[events-1]",
        "test_x[events-2]",
        "test_x[mixed-1]",
        "test_x[mixed-2]",
    ]


@pytest.mark.parametrize(
    ("arguments", "options", "names"),
    [
        ("pipeline_settings", (), ["test_x"]),
        ("pipeline_workload", (), ["test_x"]),
        ("pipeline_batch_size", ("--pipeline-batch-sizes=5",), ["test_x"]),
        (
            "pipeline_batch_size, pipeline_workload",
            (),
            ["test_x[1]", "test_x[10]", "test_x[100]"],
        ),
        (
            "pipeline_batch_size, pipeline_workload",
            ("--pipeline-batch-sizes=5", "--pipeline-workload=events,mixed"),
            ["test_x[events]", "test_x[mixed]"],
        ),
        ("tmp_path", (), ["test_x"]),
    ],
)
def test_one_value_is_not_in_the_name_of_a_test(
    pytester: pytest.Pytester,
    arguments: str,
    options: tuple[str, ...],
    names: list[str],
) -> None:
    """Nor are values that the test does not ask for."""
    assert ids(pytester, f"def test_x({arguments}): pass", *options) == names


def test_a_batch_size_selects_a_test_by_its_name(pytester: pytest.Pytester) -> None:
    """As ids of parameters do."""
    path = pytester.makepyfile("def test_x(pipeline_batch_size): pass")
    result = pytester.runpytest_inprocess(f"{path}::test_x[10]")

    result.assert_outcomes(passed=1)


def test_a_marker_says_how_often_its_test_runs(pytester: pytest.Pytester) -> None:
    """The other tests run as often as the options say."""
    names = ids(
        pytester,
        """
        import pytest

        @pytest.mark.pipeline(batch_sizes=(3, 4))
        def test_x(pipeline_batch_size): pass

        @pytest.mark.pipeline(batch_sizes=3)
        def test_y(pipeline_batch_size): pass

        def test_z(pipeline_batch_size): pass
        """,
        "--pipeline-batch-sizes=1,2",
    )

    assert sorted(names) == [
        "test_x[3]",
        "test_x[4]",
        "test_y",
        "test_z[1]",
        "test_z[2]",
    ]


def test_a_fixture_that_asks_for_the_batch_size_is_made_for_each(
    pytester: pytest.Pytester,
) -> None:
    """The test need not ask for it by name."""
    seen = seen_by(
        pytester,
        """
        import pytest

        @pytest.fixture
        def doubled(pipeline_batch_size):
            return 2 * pipeline_batch_size

        def test_x(doubled): pass
        """,
    )

    assert [given["doubled"] for given in seen.values()] == [2, 20, 200]


def test_a_batch_size_that_is_asked_for_late_is_the_first(
    pytester: pytest.Pytester,
) -> None:
    """It is too late then to run the test once for each."""
    pytester.makepyfile(
        """
        def test_x(request):
            assert request.getfixturevalue("pipeline_batch_size") == 7
            assert request.getfixturevalue("pipeline_workload").name == "mixed"
        """
    )
    result = pytester.runpytest_inprocess(
        "--pipeline-batch-sizes=7,8", "--pipeline-workload=mixed,events"
    )

    result.assert_outcomes(passed=1)


@pytest.mark.parametrize("indirect", [True, False])
@pytest.mark.parametrize(
    "argnames", ["'pipeline_batch_size, x'", "['pipeline_batch_size', 'x']"]
)
def test_a_test_may_say_itself_which_batch_sizes_it_sees(
    pytester: pytest.Pytester, argnames: str, indirect: bool
) -> None:
    """By parametrize, directly or through the fixture."""
    through = ["pipeline_batch_size"] if indirect else False
    seen = seen_by(
        pytester,
        f"""
        import pytest

        @pytest.mark.parametrize({argnames}, [(5, "a"), (6, "b")], indirect={through})
        def test_x(pipeline_batch_size, x, pipeline_settings): pass
        """,
    )

    assert {name: given["pipeline_batch_size"] for name, given in seen.items()} == {
        "test_x[5-a]": 5,
        "test_x[6-b]": 6,
    }


def test_a_test_may_have_parameters_of_its_own(pytester: pytest.Pytester) -> None:
    """Their ids stand beside the batch size, and alone where there is just one."""
    source = """
        import pytest

        @pytest.mark.parametrize("x", ["a", "b"])
        def test_x(x, pipeline_batch_size): pass
    """

    assert sorted(ids(pytester, source, "--pipeline-batch-sizes=1")) == [
        "test_x[a]",
        "test_x[b]",
    ]
    assert sorted(ids(pytester, source, "--pipeline-batch-sizes=1,2")) == [
        "test_x[1-a]",
        "test_x[1-b]",
        "test_x[2-a]",
        "test_x[2-b]",
    ]


def test_a_workload_that_is_not_known_is_an_error_of_the_test(
    pytester: pytest.Pytester,
) -> None:
    """It is looked for when a test asks for it; the error says which there are."""
    pytester.makepyfile("def test_x(pipeline_workload): pass")
    result = pytester.runpytest_inprocess("--pipeline-workload=nonsense")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        "*UsageError: workload 'nonsense': not known; there is events, mixed, *"
    )


def test_settings_reach_the_workers_of_xdist(pytester: pytest.Pytester) -> None:
    """From the command line, the ini file and the marker."""
    pytester.makeini("[pytest]\npipeline_stage =\n  parse=./serve\n  sink=./sink\n")
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.pipeline(events=9)
        def test_x(pipeline_settings, pipeline_batch_size, worker_id):
            assert worker_id == "gw0"
            assert pipeline_settings.stages == {"parse": "./serve", "sink": "./sink"}
            assert pipeline_settings.events == 9
            assert pipeline_settings.batch_sizes == (2, 3)
        """
    )
    result = pytester.runpytest_subprocess("-n1", "--pipeline-batch-sizes=2,3")

    result.assert_outcomes(passed=2)


def test_the_header_says_what_is_in_force(pytester: pytest.Pytester) -> None:
    """One line, also where nothing is given."""
    result = pytester.runpytest_inprocess()

    result.stdout.fnmatch_lines(
        "pipeline: inprocess servers over unix; batch sizes 1, 10, 100; workload events"
    )


def test_the_header_names_stages_that_are_given(pytester: pytest.Pytester) -> None:
    """With their addresses, after what else is in force."""
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
    """The options in a group of their own."""
    shown = pytester.runpytest_inprocess("--help").stdout.str()
    group = shown.partition("\nstreaming gRPC stages:\n")[2].partition("\n\n")[0]

    for case in CASES:
        assert f"\n  {case.option}=" in f"\n{group}"
        assert f"\n  pipeline_{case.name} (" in shown


def test_markers_shows_the_marker(pytester: pytest.Pytester) -> None:
    """With each setting that it takes."""
    shown = pytester.runpytest_inprocess("--markers").stdout.str()
    _, found, rest = shown.partition("@pytest.mark.pipeline(")

    assert found
    assert rest.partition(")")[0].split(", ") == [case.name for case in CASES]


def test_the_marker_is_known_where_markers_are_strict(
    pytester: pytest.Pytester,
) -> None:
    """So nobody has to declare it."""
    assert settings_of(pytester, "--strict-markers", mark="events=5").events == 5


def test_fixtures_shows_each_fixture_and_what_it_is_for(
    pytester: pytest.Pytester,
) -> None:
    """The first line of its docstring, which is a sentence."""
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
