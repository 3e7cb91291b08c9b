"""Inputs by URL: read as files are, and no secret of a URL in a message."""

from __future__ import annotations

import gzip
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from pipeline.batching import BatchLimits
from pipeline.errors import SourceError, UsageError
from pipeline.inputs import Inputs
from pipeline.url_files import matching_urls
from pipeline.urls import is_url, redacted
from pipeline.workloads.line_parts import divide_lines, read_line_part
from pipeline.workloads.lines import line_source, read_lines
from tests.cli.commands import COMMAND, GOOD


@pytest.fixture
def store() -> Iterator[Any]:
    """A store in the memory of this process."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("s3://bucket/key", True),
        ("HTTPS://host/x", True),
        ("memory://x", True),
        ("/s3://bucket", False),
        ("C://x", False),
        ("s3:/bucket", False),
        ("-", False),
    ],
)
def test_a_url_has_a_scheme_and_two_slashes(path: str, expected: bool) -> None:
    """A scheme has two letters or more."""
    assert is_url(path) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("can't read s3://bucket/key: why", "can't read s3://bucket/key: why"),
        ("ftp://me:secret@host/x", "ftp://***@host/x"),
        ("ftp://me:se@cret@host/x", "ftp://***@host/x"),
        (
            "url='https://host/x?sig=secret' and more",
            "url='https://host/x?*** and more",
        ),
        ("https://secret@host/x#secret", "https://***@host/x#***"),
    ],
)
def test_secrets_of_urls_are_left_out(text: str, expected: str) -> None:
    """Users, passwords, queries and fragments."""
    assert redacted(text) == expected


def test_a_file_of_a_store_is_read_as_a_local_one(store: Any) -> None:
    """Compressed or not, whole or in parts."""
    lines = b"".join(b"line %d\n" % number for number in range(100))
    store.pipe("/in/plain", b"\xef\xbb\xbf" + lines.removesuffix(b"\n"))
    store.pipe("/in/packed", gzip.compress(lines))
    store.pipe("/in/empty", b"")
    spec = line_source(
        "memory://in/plain", more=["memory://in/packed", "memory://in/empty"]
    )
    limits = BatchLimits(7)

    outputs = list(read_lines(spec, limits, 0, Inputs()))
    parts = divide_lines(spec, limits, 0, map, block_bytes=16, part_bytes=100)

    assert b"".join(output.message.text for output in outputs) == lines * 2
    assert parts is not None
    assert len(parts) > 5
    assert [
        output
        for part in pickle.loads(pickle.dumps(parts))  # noqa: S301
        for output in read_line_part(spec, limits, part)
    ] == outputs


def test_what_is_read_in_one_go_is_a_part_of_its_own(http: str, tmp_path: Path) -> None:
    """A single one is no parts: the driver reads it. Nobody seeks in it."""
    limits = BatchLimits(3)
    spec = line_source(f"{http}/a", more=[f"{http}/b"])
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"a line\n" * 10)

    parts = divide_lines(spec, limits, 0, map, block_bytes=4, part_bytes=8)

    assert parts is not None
    assert [part.first_record for part in parts] == [1, 13]
    outputs = [
        output for part in parts for output in read_line_part(spec, limits, part)
    ]
    assert outputs == list(read_lines(spec, limits, 0, Inputs()))
    assert divide_lines(line_source(f"{http}/a"), limits, 0, map) is None


def test_a_file_that_changes_while_it_is_read_is_refused(store: Any) -> None:
    """As the store describes it at the end."""
    store.pipe("/in", b"a" * 20)

    with Inputs().open("memory://in") as file:
        file.read(20)
        store.pipe("/in", b"b" * 20)
        with pytest.raises(SourceError, match="memory://in was written to while it"):
            file.read(20)


def test_a_file_that_changes_after_it_was_divided_is_refused(store: Any) -> None:
    """By whoever reads a part of it."""
    store.pipe("/in", b"a line\n" * 20)
    spec, limits = line_source("memory://in"), BatchLimits(3)
    parts = divide_lines(spec, limits, 0, map, block_bytes=8, part_bytes=8)
    store.pipe("/in", b"others\n" * 20)

    assert parts is not None
    with pytest.raises(SourceError, match="memory://in was written to while it"):
        list(read_line_part(spec, limits, parts[3]))


def test_a_pattern_gives_the_files_in_the_order_of_their_names(store: Any) -> None:
    """Folders are left out, and a file whose name has a star is no pattern."""
    for name in ("b", "a", "below/c"):
        store.pipe(f"/in/{name}", b"")

    assert matching_urls("memory://in/*") == ["memory://in/a", "memory://in/b"]
    assert matching_urls("memory://in/**/c") == ["memory://in/below/c"]
    assert matching_urls("memory://in/*.csv") == []
    store.pipe("/in/*", b"")
    assert matching_urls("memory://in/*") == ["memory://in/*"]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("memory://in/none", "can't read memory://in/none: no such file"),
        ("memory://in", "can't read memory://in: is a directory"),
        ("odd://x/y?sig=s", "can't read odd://x/y?***: Protocol not known: odd"),
        ("HTTP/none?sig=s", "can't read HTTP/none?***: no such file"),
    ],
)
def test_what_cannot_be_read_is_named_without_secrets(
    store: Any, http: str, url: str, said: str
) -> None:
    """In one line."""
    store.pipe("/in/a", b"")

    with pytest.raises(SourceError) as caught:
        Inputs().open(url.replace("HTTP", http))

    assert str(caught.value) == said.replace("HTTP", http)


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package of a store, or fsspec itself with the command that installs it."""
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(SourceError, match=r"gs:// needs another package: .*gcsfs"):
        Inputs().open("gs://bucket/key")

    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(UsageError, match=r"pip install 'pytest-grpc-pipeline\[urls\]'"):
        Inputs().open("s3://bucket/key")


def test_the_time_that_a_store_takes_is_waiting(store: Any) -> None:
    """As for a pipe."""
    store.pipe("/in", b"a" * 20)
    inputs = Inputs()

    with inputs.open("memory://in") as file:
        file.read(20)

    assert inputs.take_waited_ns() > 0


def test_a_run_without_urls_does_not_import_fsspec(tmp_path: Path) -> None:
    """It costs nothing where it is not used."""
    (tmp_path / "in").write_text(GOOD)
    done = subprocess.run(
        [
            *(sys.executable, "-X", "importtime", *COMMAND[1:], "run", "in"),
            *("--output", "out", "--engine", "monolith"),
        ],
        cwd=tmp_path,
        capture_output=True,
        check=True,
        text=True,
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}

    assert "pipeline.urls" in imported
    assert not imported & {"fsspec", "pipeline.url_files"}
