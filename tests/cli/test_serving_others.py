"""`pipeline serve` where others reach it: who may come in, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
import trustme

from pipeline.transport import wire
from pipeline.transport.stubs import StageStub
from pipeline.v1.lines_pb2 import Lines
from pipeline.v1.pipeline_pb2 import Batch
from tests.cli.commands import COMMAND, FAILED, GOOD, SUCCESS, USAGE, pipeline

RESULT = b'{"key":"click","count":1,"sum":10,"avg":10.0}\n'

# Its parse stage never returns.
STUCK = """
import os
from dataclasses import replace
from pipeline import Stage, workload_named

EVENTS = workload_named("events")
parse, *others = EVENTS.transforms


def open_a_pipe(lines):
    print("opens", flush=True)
    open("pipe", "rb")


STUCK = replace(
    EVENTS, transforms=(replace(parse, function=open_a_pipe), *others)
)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with an input."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").write_text(GOOD)
    return tmp_path


@contextmanager
def served(*options: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Serve parse; yields the process and its address."""
    with subprocess.Popen(
        [*COMMAND, "serve", "parse", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as server:
        assert server.stdout is not None
        try:
            yield server, json.loads(server.stdout.readline())["address"]
        finally:
            server.kill()


def run_with(address: str, *options: str) -> subprocess.CompletedProcess[bytes]:
    """Run with the parse server at an address."""
    return pipeline(
        *("run", "in", "--output", "out", "--stage", f"parse={address}", *options)
    )


def certificates(folder: Path, name: str) -> tuple[str, str, str]:
    """Write a new authority and a certificate; return the files of both and the key."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    paths = [str(folder / f"{name}.{end}") for end in ("ca", "pem", "key")]
    authority.cert_pem.write_to_path(paths[0])
    issued.cert_chain_pems[0].write_to_path(paths[1])
    issued.private_key_pem.write_to_path(paths[2])
    return paths[0], paths[1], paths[2]


def test_an_address_that_others_reach_needs_tls_or_consent() -> None:
    """Without either, the server does not start; with consent, it says so."""
    done = pipeline("serve", "parse", "--bind", "0.0.0.0:0")
    assert (done.returncode, done.stdout) == (USAGE, b"")
    assert done.stderr == (
        b"pipeline: --bind 0.0.0.0:0: other machines reach it; give --tls-certificate "
        b"and --tls-key, or --insecure if everyone there may use this server\n"
    )

    with served("--bind", "0.0.0.0:0", "--insecure") as (server, _):
        assert server.stderr is not None
        assert server.stderr.readline() == (
            b"pipeline: warning: 0.0.0.0:0 is served without TLS, to everyone who "
            b"reaches it\n"
        )


def test_only_clients_with_a_certificate_and_the_token_are_served(
    folder: Path,
) -> None:
    """Both ends show certificates; a run that lacks either thing publishes nothing."""
    root, certificate, key = certificates(folder, "server")
    client_root, client_certificate, client_key = certificates(folder, "client")
    (folder / "token").write_text("s3cret\n")
    (folder / "wrong").write_text("s3cres\n")
    mine = ("--tls-certificate", client_certificate, "--tls-key", client_key)

    with served(
        *("--bind", "localhost:0", "--tls-certificate", certificate),
        *("--tls-key", key, "--tls-client-ca", client_root, "--token-file", "token"),
    ) as (_, address):
        trusting = ("--tls-root", root)
        stranger = run_with(address, *trusting, "--token-file", "token")
        without = run_with(address, *trusting, *mine)
        mistaken = run_with(address, *trusting, *mine, "--token-file", "wrong")
        assert not (folder / "out").exists()
        known = run_with(address, *trusting, *mine, "--token-file", "token")

    assert (stranger.returncode, stranger.stderr.count(b"\n")) == (FAILED, 1)
    assert b"nobody answers" in stranger.stderr
    for refused in (without, mistaken):
        assert (refused.returncode, refused.stderr) == (
            FAILED,
            b"pipeline: stage parse: send the token of this server\n",
        )
    assert (known.returncode, known.stderr) == (SUCCESS, b"")
    assert (folder / "out").read_bytes() == RESULT


def test_certificates_are_read_again_when_they_change(folder: Path) -> None:
    """A new connection gets the new one, without a restart."""
    root, certificate, key = certificates(folder, "server")
    with served(
        *("--bind", "localhost:0", "--tls-certificate", certificate, "--tls-key", key)
    ) as (_, address):
        assert run_with(address, "--tls-root", root).returncode == SUCCESS
        first = Path(root).read_bytes()
        certificates(folder, "server")
        (folder / "old").write_bytes(first)

        assert run_with(address, "--tls-root", root).returncode == SUCCESS
        assert run_with(address, "--tls-root", "old").returncode == FAILED


@pytest.mark.parametrize("option", ["--tls-client-ca", "--token-file"])
def test_what_needs_tls_is_refused_without_it(option: str) -> None:
    """A token must not travel in the clear."""
    done = pipeline("serve", "parse", option, "in")
    assert done.returncode == USAGE
    assert (
        done.stderr
        == (
            f"pipeline: {option}: needs TLS; give --tls-certificate and --tls-key too\n"
        ).encode()
    )

    done = pipeline("run", "in", "--output", "out", "--token-file", "in")
    assert done.returncode == USAGE
    assert done.stderr == b"pipeline: --token-file: needs TLS; give --tls-root too\n"


def test_a_server_ends_while_a_handler_never_returns(folder: Path) -> None:
    """A second SIGTERM ends the grace, as time would."""
    (folder / "stuck.py").write_text(STUCK)
    os.mkfifo(folder / "pipe")
    with served("--workload", "stuck:STUCK") as (server, address):
        assert server.stderr is not None
        request = Batch()
        wire.pack(Lines(), into=request.payload)
        with grpc.insecure_channel(address) as channel:
            call = StageStub(channel).Process(iter([request]))
            assert server.stderr.readline() == b"opens\n"
            server.send_signal(signal.SIGTERM)
            while b"draining" not in server.stderr.readline():
                pass
            server.send_signal(signal.SIGTERM)
            assert server.wait(30) == 0
            call.cancel()
