"""The machine code of `work-items`, compiled from this source tree."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import ModuleType

import pytest

from pipeline.workloads.work_items import native
from pipeline.workloads.work_items.native import NativeLoops

SOURCE = Path(native.__file__).with_name("loops.c")


@pytest.fixture(scope="session")
def loops(hook: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> NativeLoops:
    """The loops, compiled as for a wheel."""
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    library = tmp_path_factory.mktemp("native") / "loops.so"
    assert hook.compile_source(SOURCE, library) == ""
    return NativeLoops(library)


@pytest.fixture(params=["machine code", "python"])
def each_implementation(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run a test with the compiled loops, then without."""
    compiled = request.param == "machine code"
    loops = request.getfixturevalue("loops") if compiled else None
    monkeypatch.setattr(native, "LOOPS", loops)
