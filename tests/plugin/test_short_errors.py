"""Mistakes are reported in one line, without the source of the plugin."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.errors import StageError, UsageError
from pytest_pipeline import StageServerFactory
from pytest_pipeline.servers.handlers import AddToServer
from tests.plugin.greeter import (
    Greeter,
    GreeterStub,
    add_GreeterServicer_to_server,
)

MISTAKES = """
    import pytest
    from pytest_pipeline import stage_fixture

    broken = stage_fixture(["no/such/program", "serve"])

    @pytest.fixture
    def mine(stage_server):
        return stage_server("pares")

    def test_argument(stage_server):
        stage_server("parse", transport="carrier pigeon")

    def test_what(stage_server):
        stage_server(object())

    def test_method(parse_stage):
        parse_stage.stub_for(print).nothing

    def test_handle(stage_server):
        stage_server(stage_server("rules").address).kill()

    def add_nothing(servicer, server):
        servicer.no_rpc_but_a_bug_of_mine[0]

    class Servicer:
        no_rpc_but_a_bug_of_mine = ()

    def test_user_code(stage_server):
        stage_server(Servicer(), add_to_server=add_nothing)

    def test_fixture(broken):
        pass

    def test_fixture_of_the_user(mine):
        pass

    def test_stage(rules_stage):
        pass

    def test_stage_again(rules_stage):
        pass

    def test_stages(pipeline_stages):
        pass

    @pytest.mark.pipeline(transport="x" * 60)
    def test_marker():
        pass

    @pytest.mark.pipeline(transport="tcp")
    def test_good():
        pass
"""


@pytest.mark.parametrize("options", [(), ("-n", "1")], ids=["alone", "xdist"])
def test_mistakes_are_shown_in_a_line_each_without_source_of_the_plugin(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
) -> None:
    """With the lines of the user that led to them, and whole at the end."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    pytester.makepyfile(MISTAKES)
    started = pytester.path / "started"
    pytester.makefile(
        "", serve=f"#!/bin/sh\necho once >> {started}\necho cannot serve >&2\nexit 3\n"
    )
    (pytester.path / "serve").chmod(0o755)
    result = pytester.runpytest_subprocess("--pipeline-stage=rules=./serve", *options)
    result.assert_outcomes(passed=1, failed=5, errors=6)
    # Three tests needed the stage, through two fixtures.
    assert started.read_text().count("once") == 2, "also by test_handle, not shared"
    shown = result.stdout.str()
    for source in ("raise UsageError", "raise StageError", "def __call__", "self."):
        assert source not in shown
    assert ">       stage_server(object())" in shown
    assert 'return stage_server("pares")' in shown
    assert ">       servicer.no_rpc_but_a_bug_of_mine[0]" in shown
    assert "All traceback entries are hidden" not in shown
    # pytest has cut these in its short summary.
    lines = shown[shown.index("short test summary info") :].splitlines()
    for line in (
        "StageError: stage rules did not start: ended with exit code 3",
        "UsageError: @pytest.mark.pipeline(transport='" + "x" * 60 + "'): must be one",
        "UsageError: stage 'pares': workload events has ingest, parse, rules",
        "UsageError: stage_server(Servicer): add_nothing raised IndexError: tuple",
        "StageError: stage program can't be started: there is no file no/such/program",
    ):
        assert [each.startswith(line) for each in lines].count(True) == 1, line


@pytest.mark.parametrize(
    ("name", "mode", "message"),
    [
        ("serve", None, r"there is no file \./serve \(/.*/serve\)"),
        ("serve", 0o644, r"\./serve \(/.*/serve\) is not executable; chmod \+x it"),
        ("", 0o755, r"\./ \(/.*\) is a folder"),
    ],
    ids=["missing", "not-executable", "folder"],
)
def test_a_relative_command_is_named_with_its_path(
    stage_server: StageServerFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    mode: int | None,
    message: str,
) -> None:
    """From the folder in which it was looked for."""
    monkeypatch.chdir(tmp_path)
    if mode is not None and name:
        Path(name).touch(mode)
    if mode == 0o644 and os.access(name, os.X_OK):
        pytest.skip("every file is executable here")

    with pytest.raises(StageError, match=message):
        stage_server([f"./{name}"])


def test_a_command_that_is_not_on_the_path_is_named_with_it(
    stage_server: StageServerFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folders of PATH are what was looked through."""
    monkeypatch.setenv("PATH", "/one:/two")

    with pytest.raises(StageError, match=r"no program serve on the PATH \(/one:/two\)"):
        stage_server("serve it")


@pytest.mark.parametrize("command", ["", "  ", [], "serve 'it"])
def test_a_command_without_words_is_refused(
    stage_server: StageServerFactory, command: object
) -> None:
    """The line shows the command."""
    with pytest.raises(UsageError, match=r"^command .*: (has no words|no closing|No)"):
        stage_server(command)


def add_nothing(_: object, __: object) -> None:
    """Add no service."""


def add_route_guide(servicer: object, _: object) -> None:
    """Ask a servicer for an RPC that greeters do not have, as generated code does."""
    servicer.GetFeature  # type: ignore[attr-defined]  # noqa: B018


def add_and_start(servicer: object, server: object) -> None:
    """Do what the plugin does."""
    add_GreeterServicer_to_server(servicer, server)
    server.start()  # type: ignore[attr-defined]


def add_badly(servicer: object, _: object) -> None:
    """Fail."""
    raise LookupError(f"nothing for {servicer.__class__.__name__}")


@pytest.mark.parametrize(
    ("add", "message"),
    [
        (add_nothing, r"add_nothing adds no service to the server; give"),
        (add_route_guide, r"add_route_guide adds the RPC GetFeature, which Greeter do"),
        (add_and_start, r"add_and_start starts the server, which the plugin does"),
        (add_badly, r"add_badly raised LookupError: nothing for Greeter"),
        (lambda _: None, r"<lambda> raised TypeError: .* takes 1 positional argument"),
        (GreeterStub, r"GreeterStub raised TypeError"),
        ("greeter", r"add_to_server='greeter': must be the generated function"),
    ],
    ids=["nothing", "other", "starts", "raises", "signature", "stub", "text"],
)
@pytest.mark.parametrize("aio", [None, True], ids=["found-out", "aio"])
def test_a_wrong_add_to_server_fails_with_one_line(
    stage_server: StageServerFactory, add: AddToServer, message: str, aio: bool | None
) -> None:
    """It names the function and says what is wrong with it."""
    with pytest.raises(UsageError, match=message) as refused:
        stage_server(Greeter(), add_to_server=add, aio=aio)

    assert "\n" not in str(refused.value)


def test_what_add_to_server_raises_keeps_its_traceback(
    stage_server: StageServerFactory,
) -> None:
    """As the cause of the error."""
    with pytest.raises(UsageError) as refused:
        stage_server(Greeter(), add_to_server=add_badly)

    cause = refused.value.__cause__
    assert isinstance(cause, LookupError)
    frames = [
        entry.name for entry in pytest.ExceptionInfo.from_exception(cause).traceback
    ]
    assert frames[-1] == "add_badly"


def test_a_wrong_add_to_server_is_found_in_a_process_too(
    stage_server: StageServerFactory,
) -> None:
    """The last line that the process says is the error."""
    with pytest.raises(StageError, match=r"add_nothing adds no service to the server"):
        stage_server(Greeter, add_to_server=add_nothing, servers="subprocess")
