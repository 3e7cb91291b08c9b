"""Two nodes that share nothing but an object store, set up as a user would."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any, cast

import boto3
import pytest

from pipeline.workloads.events.generate import generate_events
from tests.cli.commands import FAILED, SUCCESS, pipeline
from tests.engines.several_files import one_file

ROOT = Path(__file__).parents[3]
LOOPBACK = "127.0.0.1"
BUCKET = "bucket"
HERE = ("--host", LOOPBACK, "--no-dashboard")
LINES = list(generate_events(700, seed=1, users=5, malformed=0.05))
FILES = [b"".join(LINES[start : start + 100]) for start in range(0, 700, 100)]
FILES[2] = FILES[2].replace(b"\n", b"\r\n").removesuffix(b"\r\n")
FILES[4] = b""


class Store:
    """An object store with the interface of S3."""

    def __init__(self, client: Any) -> None:
        self._client = client
        client.create_bucket(Bucket=BUCKET)

    def put(self, key: str, data: bytes) -> None:
        """Make an object."""
        self._client.put_object(Bucket=BUCKET, Key=key, Body=data)

    def names(self) -> list[str]:
        """Return the keys of all objects."""
        listed = self._client.list_objects_v2(Bucket=BUCKET)["Contents"]
        return [it["Key"] for it in listed]

    def get(self, key: str) -> bytes:
        """Return what is in an object."""
        with self._client.get_object(Bucket=BUCKET, Key=key)["Body"] as body:
            data: bytes = body.read()
            return data


@contextmanager
def node(
    folder: Path, *command: str, stderr: int = subprocess.DEVNULL
) -> Iterator[IO[bytes]]:
    """Run a module in a folder and a process group of its own; yield its log."""
    folder.mkdir(exist_ok=True)
    with subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        process_group=0,
    ) as process:
        try:
            yield cast("IO[bytes]", process.stderr)
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def found(log: IO[bytes], pattern: bytes) -> str:
    """Return what a log says, as soon as it does."""
    for line in log:
        if match := re.search(pattern, line):
            return match[1].decode()
    raise AssertionError("the process has ended")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store, and the environment in which each node finds it."""
    with node(
        tmp_path / "store",
        *("moto.server", "--host", LOOPBACK, "--port", "0"),
        stderr=subprocess.PIPE,
    ) as log:
        for name, value in {
            "AWS_ENDPOINT_URL": found(log, rb"Running on (http://\S+)"),
            "AWS_ACCESS_KEY_ID": "a user's key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "PYTHONPATH": str(ROOT),
        }.items():
            monkeypatch.setenv(name, value)
        with closing(boto3.client("s3")) as client:
            store = Store(client)
            for number, data in enumerate(FILES):
                packed = gzip.compress(data) if number % 2 else data
                store.put(f"day/{number}", packed)
            yield store


@pytest.fixture
def scheduler(tmp_path: Path, store: Store) -> Iterator[str]:  # noqa: ARG001 - nodes use it
    """The address of a scheduler of Dask with a worker on each of two nodes."""
    with node(
        tmp_path / "first",
        *("dask", "scheduler", *HERE, "--port", "0"),
        stderr=subprocess.PIPE,
    ) as log:
        address = found(log, rb"Scheduler at: +(tcp://\S+)")
        worker = ("dask", "worker", address, *HERE, "--nthreads", "1", "--no-nanny")
        with node(tmp_path / "first", *worker), node(tmp_path / "second", *worker):
            for _ in range(2):
                found(log, rb"Register worker addr: (\S+)")
            yield address


def expected(folder: Path) -> list[bytes]:
    """Return the result and the rejects of the monolith over one local file."""
    (folder / "all").write_bytes(one_file(FILES))
    made = [folder / "result", folder / "rejects"]
    done = pipeline(
        *("run", folder / "all", "--output", made[0], "--rejects", made[1]),
        *("--engine", "monolith"),
    )
    assert done.returncode == SUCCESS
    return [file.read_bytes() for file in made]


def test_two_nodes_read_and_write_a_store(
    tmp_path: Path, store: Store, scheduler: str
) -> None:
    """As every engine does, with the bytes of a run over one local file."""
    of_one_file = expected(tmp_path)
    for name, *options in [
        ("dask", "--address", scheduler),
        ("split",),
        ("monolith",),
    ]:
        report = tmp_path / f"{name}.json"
        done = pipeline(
            *("run", "s3://bucket/day/*", "--output", f"s3://bucket/{name}/result"),
            *("--rejects", f"s3://bucket/{name}/rejects", "--report", report),
            *("--engine", name, "--batch-size", "30", *options),
        )

        assert (done.returncode, done.stderr) == (SUCCESS, b"")
        made = [store.get(f"{name}/{file}") for file in ("result", "rejects")]
        assert made == of_one_file
        workers = json.loads(report.read_bytes())["stages"]["ingest"]["replicas"]
        assert workers == (2 if name == "dask" else 1)


def test_a_run_that_fails_uploads_nothing(store: Store) -> None:
    """The earlier result stays, and no object of rejects is made."""
    store.put("result", b"earlier")

    done = pipeline(
        *("run", "s3://bucket/day/*", "--output", "s3://bucket/result"),
        *("--rejects", "s3://bucket/rejects", "--max-rejects", "1"),
        *("--engine", "monolith"),
    )

    assert done.returncode == FAILED
    assert done.stderr.count(b"\n") == 1
    assert store.get("result") == b"earlier"
    assert "rejects" not in store.names()
