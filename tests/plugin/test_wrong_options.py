"""Settings that are wrong, or contradict each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_pipeline.options import SETTING_NAMES, PipelineSettings
from tests.plugin.sessions import (
    ASKS,
    marker_error,
    settings_of,
    usage_error,
)

# Wrong values, as text of an option or an ini key.
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
    ("data", ""),
    ("examples", "0"),
    ("examples", "many"),
    ("reply_timeout", "0"),
    ("reply_timeout", "soon"),
    ("declarations", ""),
    ("conformance_report", ""),
    ("report", ""),
    ("run_seconds", "0"),
    ("run_seconds", "long"),
    ("arrival_rate", "0"),
    ("arrival_rate", "many"),
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


# Settings that contradict each other; the message names the first.
EXTERNAL_COMMAND = (("servers", "external"), ("stage", "parse=./serve"))


ROOT_WITHOUT_TLS = (("tls_root", "root.pem"), ("transport", "tcp"))


MTLS_OF_OTHERS = (("transport", "mtls"), ("servers", "external"))
TLS_WITHOUT_ROOT = (("transport", "tls"), ("servers", "external"))


CONTRADICTIONS = [
    pytest.param(EXTERNAL_COMMAND, "stage parse is given by a command", id="command"),
    pytest.param(ROOT_WITHOUT_TLS, "transport tcp has no TLS", id="root-without-tls"),
    pytest.param(MTLS_OF_OTHERS, "don't know the certificates", id="external-mtls"),
    pytest.param(TLS_WITHOUT_ROOT, "need --pipeline-tls-root", id="tls-without-root"),
]


def test_a_stage_that_is_given_twice_is_a_usage_error(
    pytester: pytest.Pytester,
) -> None:
    """The last one does not silently win."""
    message = usage_error(
        pytester, "--pipeline-stage=parse=./a", "--pipeline-stage=parse=./b"
    )

    assert "--pipeline-stage parse=./b: stage given twice" in message


@pytest.mark.parametrize(("name", "text"), BAD)
def test_a_bad_option_is_a_usage_error(
    pytester: pytest.Pytester, name: str, text: str
) -> None:
    """The message names the option and its value, and says what is wrong."""
    option = f"--pipeline-{name.replace('_', '-')}"
    message = usage_error(pytester, f"{option}={text}")

    assert f"{option} {text}: " in message
    assert ": must be " in message or " twice" in message


@pytest.mark.parametrize(("name", "text"), dict(BAD).items())
def test_a_bad_ini_key_is_a_usage_error(
    pytester: pytest.Pytester, name: str, text: str
) -> None:
    """The message names the key and its value, and says what is wrong."""
    pytester.makeini(f"[pytest]\npipeline_{name} = {text}\n")
    message = usage_error(pytester)

    assert f"ini key pipeline_{name} {text}: " in message
    assert ": must be " in message or " twice" in message


def test_a_bad_marker_fails_its_test(pytester: pytest.Pytester) -> None:
    """And no other; the message names the setting and its value."""
    modules = {
        f"test_{number}": f"import pytest\n@pytest.mark.pipeline({mark})\n{ASKS}"
        for number, mark in enumerate(BAD_MARKS)
    } | {"test_good": ASKS}
    pytester.makepyfile(**modules)
    result = pytester.runpytest_inprocess()
    shown = result.stdout.str()

    result.assert_outcomes(errors=len(BAD_MARKS), passed=1)
    for mark in BAD_MARKS:
        assert f"\n@pytest.mark.pipeline({mark}): " in shown


def test_an_unknown_setting_in_a_marker_lists_the_known_ones(
    pytester: pytest.Pytester,
) -> None:
    """The message makes a typing error obvious."""
    shown = marker_error(pytester, "evnts=3")

    assert "@pytest.mark.pipeline(evnts=3): no such setting; there is " in shown
    assert all(name in shown for name in SETTING_NAMES)


def test_a_wrong_marker_is_an_error_without_our_fixtures(
    pytester: pytest.Pytester,
) -> None:
    """Markers are validated on every test."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.pipeline(evnts=3)
        def test_x():
            pass
        """
    )

    pytester.runpytest_inprocess().assert_outcomes(errors=1)


def test_a_marker_takes_no_positional_argument(pytester: pytest.Pytester) -> None:
    """The message shows the argument."""
    shown = marker_error(pytester, "'tcp'")

    assert "@pytest.mark.pipeline('tcp'): takes settings by name only" in shown


@pytest.mark.parametrize(("given", "why"), CONTRADICTIONS)
def test_options_that_contradict_each_other_are_a_usage_error(
    pytester: pytest.Pytester, given: tuple[tuple[str, str], ...], why: str
) -> None:
    """The message names one setting and says what the other lacks."""
    options = [(f"--pipeline-{name.replace('_', '-')}", value) for name, value in given]
    message = usage_error(pytester, *(word for option in options for word in option))

    assert f"{' '.join(options[0])}: " in message
    assert why in message


@pytest.mark.parametrize(("given", "why"), CONTRADICTIONS)
def test_ini_keys_that_contradict_each_other_are_a_usage_error(
    pytester: pytest.Pytester, given: tuple[tuple[str, str], ...], why: str
) -> None:
    """The message names one setting and says what the other lacks."""
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
def test_a_marker_that_contradicts_the_options_fails_its_test(
    pytester: pytest.Pytester, mark: str, options: tuple[str, ...], why: str
) -> None:
    """The message names the marker's setting and says what contradicts it."""
    shown = marker_error(pytester, mark, *options)

    assert f"@pytest.mark.pipeline({mark}): {why}" in shown


def test_external_servers_may_use_tls(pytester: pytest.Pytester) -> None:
    """External servers under TLS need their addresses and a root certificate."""
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
