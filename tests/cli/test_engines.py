"""The engines that `pipeline run` can be given beside its own."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from pipeline.cli.cluster_options import warn_if_open
from pipeline.engines import named
from pipeline.engines.monolith import MonolithEngine
from pipeline.engines.named import engine_named
from pipeline.errors import UsageError
from tests.cli.commands import GOOD, USAGE, pipeline

MODULE = "pipeline.engines.distributed.dask_executor"


def offer(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """Let another package add the engine ``ours``."""
    found = EntryPoints([EntryPoint("ours", value, "pipeline.engines")])
    monkeypatch.setattr(named, "entry_points", lambda **_: found)


def test_an_engine_of_an_entry_point_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name, when it is asked for."""
    offer(monkeypatch, "pipeline.engines.monolith:MonolithEngine")

    assert engine_named("ours") is MonolithEngine


def test_an_engine_that_cannot_be_loaded_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the reason."""
    offer(monkeypatch, "no_such_module:engine")

    with pytest.raises(UsageError) as raised:
        engine_named("ours")

    assert str(raised.value) == (
        "--engine ours: can't be loaded from an unknown distribution: "
        "ModuleNotFoundError: No module named 'no_such_module'"
    )


def test_dask_without_its_extra_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In one line."""
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    monkeypatch.setitem(sys.modules, "dask", None)

    with pytest.raises(UsageError) as raised:
        engine_named("dask")()

    message = str(raised.value)
    assert message.startswith("--engine dask: can't import Dask: ")
    assert message.endswith("; pip install 'pytest-grpc-pipeline[dask]'")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--engine", "ours"), "--engine ours: not known; there is split, monolith,"),
        (("--workers", "2"), "--workers: engine split takes none"),
        (
            ("--engine", "monolith", "--address", "tcp://127.0.0.1:1"),
            "--address: engine monolith takes none",
        ),
        (
            ("--engine", "dask", "--replicas", "parse=2"),
            "--replicas: engine dask has no servers",
        ),
    ],
)
def test_options_of_another_engine_are_refused(
    tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    """Before anything is started."""
    (tmp_path / "in").write_text(GOOD)

    done = pipeline("run", tmp_path / "in", "--output", tmp_path / "out", *options)

    assert done.returncode == USAGE
    assert done.stderr.decode().startswith(f"pipeline: {message}")
    assert done.stderr.count(b"\n") == 1


def test_dask_is_not_imported_unless_it_is_asked_for(tmp_path: Path) -> None:
    """Neither by another engine nor by the package of engines like it."""
    (tmp_path / "in").write_text(GOOD)
    program = f"""
import sys
from contextlib import suppress
from pipeline.cli import cli
import pipeline.engines.distributed.engine
with suppress(SystemExit):
    cli(["run", {str(tmp_path / "in")!r}, "--output", {str(tmp_path / "out")!r},
         "--engine", "monolith"])
assert not {{"dask", "distributed"}} & {{*sys.modules}}
"""
    done = subprocess.run([sys.executable, "-c", program], check=False)

    assert done.returncode == 0
    assert (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("address", "warns"),
    [
        ("tcp://10.0.0.1:8786", True),
        ("tcp://scheduler:8786", True),
        ("tls://scheduler:8786", False),
        ("tcp://127.0.0.1:8786", False),
        ("tcp://localhost:8786", False),
        ("tcp://[::1]:8786", False),
    ],
)
def test_an_address_that_is_open_to_others_is_warned_of(
    capsys: pytest.CaptureFixture[str], address: str, warns: bool
) -> None:
    """Whoever reaches a scheduler without TLS can run code on its workers."""
    warn_if_open(address)

    errors = capsys.readouterr().err
    assert errors.startswith(f"pipeline: warning: {address} has no TLS") is warns
    assert errors.count("\n") == warns
