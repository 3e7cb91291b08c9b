"""Results and rejects that go to a URL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from pipeline.cli.uploads import Uploads
from pipeline.errors import SinkError
from tests.cli.commands import GOOD, SUCCESS, USAGE, pipeline

BAD = "no event\n"


@pytest.fixture
def store() -> Iterator[Any]:
    """A store in the memory of this process, with an earlier result."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pipe("/run/result", b"earlier")
    yield system
    system.store.clear()


def test_a_file_arrives_at_its_url_when_it_is_published(store: Any) -> None:
    """Until then the earlier one is there, and afterwards no draft is left."""
    with Uploads({"--output": "memory://run/result"}) as uploads:
        draft = uploads.paths["--output"]
        draft.write_bytes(b"new")
        assert store.cat("/run/result") == b"earlier"
        uploads.publish()

    assert store.cat("/run/result") == b"new"
    assert not draft.exists()


def test_what_is_not_published_leaves_the_store_as_it_was(store: Any) -> None:
    """As where the run has failed."""
    with Uploads({"--output": "memory://run/result"}) as uploads:
        uploads.paths["--output"].write_bytes(b"new")

    assert store.cat("/run/result") == b"earlier"


def test_a_local_file_is_published_with_the_upload(store: Any, tmp_path: Path) -> None:
    """In the order that was given, so that a failed run leaves it, too."""
    rejects = tmp_path / "rejects"
    rejects.write_text("earlier")
    given = {"--rejects": str(rejects), "--output": "memory://run/result"}
    with Uploads(given) as uploads:
        uploads.paths["--rejects"].write_bytes(b"new rejects")
        uploads.paths["--output"].write_bytes(b"new")
        assert rejects.read_text() == "earlier"
        uploads.publish()

    assert rejects.read_text() == "new rejects"
    assert store.cat("/run/result") == b"new"
    assert list(tmp_path.iterdir()) == [rejects]


def test_a_store_that_may_show_a_part_is_warned_of(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Stores of objects replace one at once, and need no warning."""
    given = {
        "--output": "memory://me:secret@run/result?token",
        "--rejects": "s3://bucket/rejects",
    }
    with Uploads(given):
        pass

    assert capsys.readouterr().err == (
        "pipeline: warning: memory:// may not replace a file at once; who reads "
        "memory://***@run/result?*** meanwhile may see a part of it\n"
    )


def test_a_failure_names_what_is_published_already(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two files of a store can't be published together."""
    put = type(store).put_file

    def refuse_result(self: Any, path: str, target: str) -> None:
        if target == "/run/result":
            raise PermissionError(13, "Permission denied")
        put(self, path, target)

    monkeypatch.setattr(type(store), "put_file", refuse_result)
    given = {f"--{name}": f"memory://run/{name}" for name in ("rejects", "result")}
    with Uploads(given) as uploads:
        for draft in uploads.paths.values():
            draft.write_bytes(b"new")
        with pytest.raises(SinkError) as caught:
            uploads.publish()

    assert str(caught.value) == (
        "can't write memory://run/result: permission denied; memory://run/rejects is "
        "published already"
    )
    assert store.cat("/run/result") == b"earlier"


def test_a_url_of_a_file_is_published_as_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside it and renamed, with no warning."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").write_text(GOOD + BAD)

    done = pipeline(
        *("run", "in", "--output", f"{tmp_path.as_uri()}/a%20b"),
        *("--rejects", f"{tmp_path.as_uri()}/rejects"),
    )

    assert (done.returncode, done.stderr) == (SUCCESS, b"")
    assert (tmp_path / "a b").read_text().startswith('{"key":"click","count":1,')
    assert (tmp_path / "rejects").read_text().startswith('{"record":2,')


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--output", "https://me:secret@host/x?token"],
            (
                "--output https://***@host/x?***: HTTP is only read; give a file, or a "
                "URL of an object store"
            ),
        ),
        (
            ["--output", "s3://bucket/x", "--stage", "sink=127.0.0.1:9"],
            (
                "--output s3://bucket/x: a sink that runs already writes files only; "
                "give a file"
            ),
        ),
        (
            ["--output", "s3://bucket/x", "--rejects", "s3://bucket/x"],
            "--rejects s3:/bucket/x: is the same file as --output",
        ),
    ],
    ids=["http", "sink", "same"],
)
def test_what_cannot_be_written_is_refused(
    tmp_path: Path, options: list[str], said: str
) -> None:
    """Before anything is started."""
    (tmp_path / "in").write_text(GOOD)

    done = pipeline("run", tmp_path / "in", *options)

    assert (done.returncode, done.stdout) == (USAGE, b"")
    assert done.stderr.decode() == f"pipeline: {said}\n"
