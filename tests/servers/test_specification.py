"""Specifications: what settings and arguments come to, before anything is started."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import UsageError
from pipeline.languages import Language
from pipeline.transport.stubs import IngestStub, SinkStub, StageStub
from pipeline.workloads import workload_named
from pytest_pipeline.options import PipelineSettings
from pytest_pipeline.servers.specification import (
    Address,
    Command,
    WorkloadStage,
    server_spec,
    stage_spec,
    stage_specs,
)
from tests.plugin.greeter import Greeter, GreeterStub, add_GreeterServicer_to_server

EVENTS = workload_named("events")
SETTINGS = PipelineSettings()


def test_each_stage_has_the_client_of_its_service() -> None:
    """In the order of a run."""
    specs = stage_specs(SETTINGS, EVENTS)

    assert [(spec.name, spec.stub_type) for spec in specs] == [
        ("ingest", IngestStub),
        ("parse", StageStub),
        ("rules", StageStub),
        ("aggregate", StageStub),
        ("sink", SinkStub),
    ]


def test_replicas_of_a_stage_are_servers_of_their_own() -> None:
    """A stage that is not named has one."""
    specs = stage_specs(SETTINGS, EVENTS, ["parse", "rules"], replicas={"parse": 2})

    assert [(spec.name, spec.replica) for spec in specs] == [
        ("parse", 0),
        ("parse", 1),
        ("rules", 0),
    ]
    assert len(set(specs)) == 3


@pytest.mark.parametrize(
    ("changes", "is_equal"),
    [
        ({}, True),
        ({"start_timeout": 1.0}, True),
        ({"events": 1, "batch_sizes": (7,)}, True),
        ({"servers": "subprocess"}, False),
        ({"transport": "tcp"}, False),
        ({"stage": (("parse", "./serve"),)}, False),
    ],
)
def test_settings_of_another_server_make_another_specification(
    changes: dict[str, Any], is_equal: bool
) -> None:
    """The pool shares a server among equal specifications."""
    spec = stage_spec(SETTINGS, EVENTS, "parse")
    changed = stage_spec(
        replace(SETTINGS, **changes), workload_named("events"), "parse"
    )

    assert (changed == spec) is is_equal
    assert not is_equal or hash(changed) == hash(spec)


def test_stages_of_two_workloads_are_different_servers() -> None:
    """Though both have one name."""
    mixed = workload_named("mixed")

    assert stage_spec(SETTINGS, EVENTS, "parse") != stage_spec(SETTINGS, mixed, "parse")


@pytest.mark.parametrize("hosting", ["inprocess", "subprocess", "external"])
def test_a_stage_given_by_its_address_is_external(hosting: Any) -> None:
    """Whatever the settings say of the other stages."""
    settings = replace(SETTINGS, servers=hosting, stage=(("parse", "unix:/tmp/parse"),))

    spec = stage_spec(settings, EVENTS, "parse")

    assert (spec.hosting, spec.what) == ("external", Address("unix:/tmp/parse"))


@pytest.mark.parametrize(
    ("address", "transport", "reached_by"),
    [
        ("unix:/tmp/parse", "tls", "unix"),
        ("localhost:1", "unix", "tcp"),
        ("localhost:1", "tcp", "tcp"),
        ("localhost:1", "tls", "tls"),
    ],
)
def test_an_address_decides_how_it_is_reached(
    address: str, transport: Any, reached_by: str
) -> None:
    """There is no TLS over a unix socket."""
    settings = replace(SETTINGS, transport=transport)

    assert server_spec(settings, address).transport == reached_by


@pytest.mark.parametrize(
    ("command", "words", "name"),
    [
        ("bin/serve 'a b'", ("bin/serve", "a b"), "serve"),
        (["bin/serve", "a b"], ("bin/serve", "a b"), "serve"),
    ],
)
def test_a_command_is_text_or_words(
    command: object, words: tuple[str, ...], name: str
) -> None:
    """It is named by its program, and is a process whatever the settings say."""
    spec = server_spec(SETTINGS, command)

    assert (spec.what, spec.name, spec.hosting) == (Command(words), name, "subprocess")


def test_a_word_is_the_name_of_a_stage_of_the_workload_in_force() -> None:
    """It needs no path and no address."""
    spec = server_spec(replace(SETTINGS, workload=("mixed",)), "parse")

    assert isinstance(spec.what, WorkloadStage)
    assert (spec.what.stage, spec.what.workload_name) == ("parse", "mixed")


def test_the_client_of_a_servicer_is_generated_beside_it() -> None:
    """Unless another one is given."""
    made = server_spec(SETTINGS, Greeter(), add_to_server=add_GreeterServicer_to_server)
    given = server_spec(
        SETTINGS, Greeter(), add_to_server=add_GreeterServicer_to_server, stub=StageStub
    )

    assert made.stub_type is GreeterStub
    assert given.stub_type is StageStub


@pytest.mark.parametrize("transport", ["unix", "tls"])
def test_external_servers_need_addresses(transport: Any) -> None:
    """Neither a stage nor a servicer can be started elsewhere from here."""
    settings = replace(
        SETTINGS, servers="external", transport=transport, tls_root=Path("root.pem")
    )

    with pytest.raises(UsageError, match="where is stage parse"):
        stage_spec(settings, EVENTS, "parse")
    with pytest.raises(UsageError, match="Greeter is a servicer"):
        server_spec(settings, Greeter(), add_to_server=add_GreeterServicer_to_server)
    assert not server_spec(settings, "localhost:1").trusts_session


@pytest.mark.parametrize(
    ("settings", "stages"),
    [
        (SETTINGS, ["pares"]),
        (replace(SETTINGS, stage=(("pares", "./serve"),)), None),
    ],
)
def test_a_stage_that_the_workload_does_not_have_is_named(
    settings: PipelineSettings, stages: list[str] | None
) -> None:
    """Whether it is asked for, or a server is given for it."""
    with pytest.raises(UsageError, match="'pares': workload events has ingest, parse"):
        stage_specs(settings, EVENTS, stages)


@pytest.mark.parametrize(
    ("command", "takes_folder", "words"),
    [
        (
            "./ingest --folder {folder} --log={folder}/log",
            True,
            ["./ingest", "--folder", "/srv/a b", "--log=/srv/a b/log"],
        ),
        ("sh -c 'cd ${folder}'", False, ["sh", "-c", "cd ${folder}"]),
        ("./ingest --folder {}", False, ["./ingest", "--folder", "{}"]),
    ],
)
def test_the_folder_stands_in_a_command_where_it_asks_for_it(
    command: str, takes_folder: bool, words: list[str]
) -> None:
    """A variable of a shell is left alone."""
    settings = PipelineSettings(stage=(("ingest", command),))
    spec = stage_spec(settings, EVENTS, "ingest")

    assert isinstance(spec.what, Command)
    assert spec.what.words_for(Path("/srv/a b")) == words
    assert spec.serves_folder == takes_folder


def test_a_stage_of_this_package_is_told_the_folder() -> None:
    """A server that runs elsewhere is told nothing."""
    running = PipelineSettings(stage=(("ingest", "localhost:1"),))

    assert stage_spec(SETTINGS, EVENTS, "ingest").serves_folder
    assert not stage_spec(running, EVENTS, "ingest").serves_folder


def test_a_stage_in_another_language_is_a_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those that the language does not serve are as the settings say."""
    monkeypatch.setattr(Language, "program", lambda _: ("./stage",))
    settings = replace(SETTINGS, stages="parse=go", servers="inprocess")

    parse, rules = stage_specs(settings, EVENTS, ["parse", "rules"])

    assert isinstance(parse.what, WorkloadStage)
    assert parse.what.program == ("./stage",)
    assert (parse.hosting, rules.hosting) == ("subprocess", "inprocess")
    assert isinstance(rules.what, WorkloadStage)
    assert rules.what.program == ()


def test_a_stage_in_another_language_has_no_tls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The error names the option and the stage."""
    monkeypatch.setattr(Language, "program", lambda _: ("./stage",))
    settings = replace(SETTINGS, stages="go", transport="tls")

    with pytest.raises(UsageError, match="transport tls: stage parse is not in Python"):
        stage_spec(settings, EVENTS, "parse")
