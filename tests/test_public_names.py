"""The public names: complete, sorted, documented, typed, and free to import."""

from __future__ import annotations

import ast
import inspect
import pkgutil
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import assert_type

import pytest
from google.protobuf.message import Message

import pipeline
import pytest_pipeline
from pipeline import RunReport, RunSettings, SplitEngine, Workload, workload_named

HEAVY = ("grpc", "google.protobuf", "numpy", "msgspec", "click", "rich")
PACKAGES = [pipeline, pytest_pipeline]

each_package = pytest.mark.parametrize("package", PACKAGES, ids=lambda it: it.__name__)


def imports_for_type_checkers(package: ModuleType) -> dict[str, str]:
    """The names that __init__.py imports under TYPE_CHECKING, with their modules."""
    assert package.__file__ is not None
    tree = ast.parse(Path(package.__file__).read_text())
    (block,) = (
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    return {
        alias.name: f"{node.module}"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@each_package
def test_all_lists_every_public_name_sorted(package: ModuleType) -> None:
    """Sorted without regard to case; type checkers see the same names."""
    names = package.__all__

    assert names == sorted(names, key=str.casefold)
    assert len(set(names)) == len(names)
    assert {*names} == {*imports_for_type_checkers(package), "__version__"}
    assert {*names} <= {*dir(package)}


@pytest.mark.parametrize(
    ("package", "name"),
    [(package, name) for package in PACKAGES for name in package.__all__],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_public_name_can_be_imported_and_is_documented(
    package: ModuleType, name: str
) -> None:
    """Messages are documented in their .proto files."""
    value = getattr(package, name)

    if name == "__version__":
        assert value == version("pytest-grpc-pipeline")
        return
    module = import_module(imports_for_type_checkers(package)[name])
    assert value is getattr(module, name)
    if not (inspect.isclass(value) and issubclass(value, Message)):
        assert inspect.getdoc(value)


@each_package
def test_no_public_name_is_a_module(package: ModuleType) -> None:
    """Importing the module would replace the name in the package.

    pipeline.stage is both, and can be called as the function.
    """
    modules = {module.name for module in pkgutil.iter_modules(package.__path__)}

    assert modules & {*package.__all__} <= {"stage"}


def test_a_workload_may_still_import_from_pipeline_stage() -> None:
    """The path of workloads from before the public names; `stage` can be called."""
    code = """
from google.protobuf.struct_pb2 import Struct
import pipeline
from pipeline.stage import Output, Workload, stage

def double(message: Struct) -> Output[Struct]:
    return Output(message, records=1)

assert pipeline.Output is Output and pipeline.Workload is Workload
assert pipeline.stage(double).name == stage(double).name == "double"
"""

    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As for any module, so hasattr and `from pipeline import` work."""
    with pytest.raises(AttributeError, match="'pipeline' has no attribute 'workload_'"):
        pipeline.workload_  # type: ignore[attr-defined] # noqa: B018


def test_type_checkers_see_the_types_of_public_names() -> None:
    """Mypy checks this test."""
    assert_type(workload_named("events"), Workload)
    assert_type(pipeline.__version__, str)

    def run(settings: RunSettings) -> RunReport:
        return assert_type(SplitEngine().run(settings), RunReport)

    assert callable(run)


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        ("import pipeline", ()),
        ("import pytest_pipeline", ()),
        ("from pytest_pipeline import StageServerFactory, stage_fixture", ()),
        ("import pipeline; pipeline.UsageError, pipeline.BatchLimits", ()),
        (
            "from pipeline import LINES, Output, Workload, per_record, workload_named",
            ("google.protobuf",),
        ),
    ],
)
def test_importing_public_names_loads_nothing_heavy(
    code: str, allowed: tuple[str, ...]
) -> None:
    """A workload needs protobuf alone, and a test file nothing until it runs."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{code}; import sys; print(*(n for n in {HEAVY} if n in sys.modules))",
        ],
        capture_output=True,
        check=True,
        text=True,
    )

    assert tuple(done.stdout.split()) == allowed
