"""The example access_logs: a user's own workload, run as a user would."""

from __future__ import annotations

import ast
import importlib
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.v1.lines_pb2 import Lines
from pipeline.workload import Workload
from pytest_pipeline import StageServerFactory
from pytest_pipeline.conformance.catalogue import CHECKS
from pytest_pipeline.conformance.transform_under_test import TransformUnderTest
from pytest_pipeline.conformance.verdict import judge
from pytest_pipeline.invariance import check_workload

EXAMPLE = Path(__file__).parents[2] / "examples" / "access_logs"
LOG = (EXAMPLE / "access.log").read_bytes()
MODULES = ("access_logs", "access_logs_by_record")

GOOD = '203.0.113.7 - ada [10/Oct/2026:13:55:36 +0000] "{}" {} {} "-" "{}"'


@pytest.fixture(scope="module", autouse=True)
def _example_is_importable() -> Iterator[None]:
    """Put the example's folder on the import path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, str(EXAMPLE)])
        yield


def module(name: str) -> ModuleType:
    """Import a module of the example."""
    return importlib.import_module(name)


def totals(workload: Workload, *parts: list[bytes]) -> tuple[bytes, list[str]]:
    """Run batches of lines; return the result, and number and reason of rejections."""
    result, reasons, first_record = workload.new_result(), [], 1
    for lines in parts:
        text = b"".join(line + b"\n" for line in lines)
        message: object = Lines(first_record=first_record, text=text)
        first_record += len(lines)
        for stage in workload.transforms:
            output = stage(message)
            message = output.message
            reasons += [
                f"{rejection.record} {rejection.reason}"
                for rejection in output.rejections
            ]
        result.add(message)
    return result.finish(), reasons


@pytest.mark.parametrize("name", MODULES)
def test_the_example_imports_from_pipeline_alone(name: str) -> None:
    """No user needs a private module."""
    tree = ast.parse((EXAMPLE / f"{name}.py").read_text())
    imported = {
        f"{node.module}" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
    }

    assert {name for name in imported if name.startswith("pipeline")} == {"pipeline"}


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize(
    ("request_line", "status", "size", "agent", "expected"),
    [
        ("GET / HTTP/1.1", 200, "7", "curl", ["GET /", 7, 0.0]),
        ("GET /a?b=/c HTTP/2", 404, "-", "curl", ["GET /a", 0, 1.0]),
        ("POST /a/12/b HTTP/1.0", 500, "9", r"a \"b\" \\", ["POST /a/{id}/b", 9, 1.0]),
        (
            "GET /u/0188b1f0-0000-7000-8000-00000000abcd HTTP/1.1",
            399,
            "1",
            "",
            ["GET /u/{id}", 1, 0.0],
        ),
    ],
)
def test_a_request_counts_for_its_route(
    name: str,
    request_line: str,
    status: int,
    size: str,
    agent: str,
    expected: list[str],
) -> None:
    """The route has no query and no IDs; a status of 400 or more is an error."""
    line = GOOD.format(request_line, status, size, agent).encode()

    result, reasons = totals(module(name).ACCESS_LOGS, [line])

    row = json.loads(result)
    assert [row["route"], row["bytes"], row["error_rate"]] == expected
    assert row["requests"] == 1
    assert reasons == []


@pytest.mark.parametrize("name", MODULES)
def test_malformed_lines_are_rejected_and_health_checks_are_filtered(
    name: str,
) -> None:
    """A rejection has the reason and the record number."""
    result, reasons = totals(
        module(name).ACCESS_LOGS,
        [
            b"",
            GOOD.format("-", 408, "-", "-").encode(),
            GOOD.format("GET / HTTP/1.1", 200, 2**53 + 1, "-").encode(),
            GOOD.format("GET /healthz HTTP/1.1", 200, 2, "-").encode(),
            b"\xff",
        ],
    )

    assert result == b""
    assert reasons == [
        "1 not_combined_format",
        "2 bad_request_line",
        "3 out_of_range",
        "5 not_utf8",
    ]


@given(cuts=st.lists(st.integers(0, 400)).map(sorted))
def test_both_styles_give_equal_results_for_all_batches(
    cuts: list[int],
) -> None:
    """Result and rejections equal those of the whole log in one batch."""
    lines = LOG.split(b"\n")[:-1]
    edges = [0, *cuts, len(lines)]
    parts = [lines[start:end] for start, end in pairwise(edges)]
    columns, by_record = (module(name).ACCESS_LOGS for name in MODULES)

    whole = totals(columns, lines)

    assert totals(columns, *parts) == whole
    assert totals(by_record, *parts) == whole


def pipeline(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command line in a folder that is not on the import path."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "pipeline", *arguments],
        cwd=folder,
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the example, alone in a folder."""
    return Path(
        shutil.copytree(
            EXAMPLE, tmp_path / "copy", ignore=shutil.ignore_patterns("__pycache__")
        )
    )


def test_the_commands_in_the_readme_count_every_request(
    folder: Path,
) -> None:
    """Both engines and both styles write the same bytes, checked by another count."""
    commands = re.findall(
        r"^pipeline (.*)$", (folder / "README.md").read_text(), flags=re.MULTILINE
    )
    assert len(commands) == 2
    results = set()
    for command in commands:
        for engine in ("split", "monolith"):
            done = pipeline(folder, *shlex.split(command), "--engine", engine)
            assert (done.returncode, done.stderr) == (0, "")
            results.add((folder / "routes.ndjson").read_text())

    (result,) = results
    by_method = Counter(
        line.split(b'"')[1].split()[0].decode()
        for line in LOG.splitlines()
        if b" HTTP/1.1" in line and b"/healthz" not in line and line.endswith(b'"')
    )
    counted: Counter[str] = Counter()
    for row in map(json.loads, result.splitlines()):
        counted[row["route"].split()[0]] += row["requests"]
    assert counted == by_method
    assert json.loads(result.splitlines()[4]) == json.loads(
        re.findall(r"```json\n(.*)\n```", (folder / "README.md").read_text())[0]
    )


@pytest.mark.parametrize("engine", ["split", "monolith"])
@pytest.mark.parametrize(
    ("name", "note"),
    [("access_logs", ""), ("access_logs_by_record", ", in record 8")],
)
def test_a_function_that_raises_fails_the_run_with_its_traceback(
    folder: Path, engine: str, name: str, note: str
) -> None:
    """The last line names the stage, the batch and its first record.

    The traceback has the frames of the user's code only.
    """
    (folder / "some.log").write_text(
        "".join(
            GOOD.format(f"GET /{number} HTTP/1.1", 200, number, "-") + "\n"
            for number in range(1, 12)
        )
    )
    script = folder / "access_logs.py"
    broken = script.read_text().replace(
        'parts = path.partition("?")[0].split("/")',
        'parts = path.partition("?")[0].split("/")\n'
        '    if path == "/8": raise ZeroDivisionError("no eights")',
    )
    script.write_text(broken)

    done = pipeline(
        folder,
        *("run", "some.log", "--workload", f"{name}:ACCESS_LOGS"),
        *("--output", "out", "--batch-size", "5", "--engine", engine),
    )

    assert (done.returncode, done.stdout) == (1, "")
    *traceback, last = done.stderr.splitlines()
    assert last == (
        "pipeline: stage routes: batch 1, from record 6: ZeroDivisionError: no eights"
        + note
    )
    frames = [line for line in traceback if line.startswith("  File ")]
    assert [frame.split(" in ")[1] for frame in frames] == ["routes", "route_of"]
    assert all(str(folder) in frame for frame in frames)
    assert any('if path == "/8": raise' in line for line in traceback)
    assert not (folder / "out").exists()


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("stage", ["parse", "routes", "aggregate"])
def test_the_stages_keep_the_contract(
    stage_server: StageServerFactory, name: str, stage: str
) -> None:
    """Stages from functions of one record keep it too."""
    workload: Workload = module(name).ACCESS_LOGS
    function = workload.transform(stage)
    tested = TransformUnderTest(stage_server(function), workload, stage, data=LOG)

    verdicts = {
        check_id: judge(check, tested)
        for check_id, check in CHECKS["transform"].items()
        if check_id.startswith(("reply", "payload", "result"))
    }
    assert {
        check_id: verdict
        for check_id, verdict in verdicts.items()
        if verdict.status != "passed"
    } == {}


@pytest.mark.parametrize("name", MODULES)
def test_the_result_does_not_depend_on_how_work_is_divided(name: str) -> None:
    """All invariance properties hold in both styles."""
    check_workload(module(name).ACCESS_LOGS, data=LOG, examples=20)
