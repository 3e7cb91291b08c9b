"""Read the JSON that pytest-benchmark saves."""

from __future__ import annotations

import json
import math
from pathlib import Path
from string import hexdigits
from typing import Any, TypeVar

import msgspec

from pipeline.errors import ReportError, one_line
from pytest_pipeline.measure.results import KEY, Machine, Measured, Session

_T = TypeVar("_T")


class _Benchmark(msgspec.Struct):
    name: str
    extra_info: dict[str, Any] = {}


class _Commit(msgspec.Struct, frozen=True):
    id: str = ""
    dirty: bool = False


class _Told(msgspec.Struct):
    failures: list[tuple[str, str]] = []


class _Saved(msgspec.Struct):
    machine_info: dict[str, Any]
    benchmarks: list[_Benchmark]
    datetime: str = ""
    commit_info: _Commit = _Commit()
    pipeline: _Told = msgspec.field(default_factory=_Told)


def read_saved(path: str | Path) -> Session:
    """Return the pipeline's results in a file of pytest-benchmark.

    Other benchmarks are ignored.

    Args:
        path: A file written with ``--benchmark-json`` or ``--benchmark-save``.

    Raises:
        ReportError: The file can't be read, was not saved by pytest-benchmark, or has
            no results of the pipeline. The message begins with the path.
    """
    saved = _convert(path, _loaded(path), _Saved, "is not a file of pytest-benchmark")
    pipelines = [one for one in saved.benchmarks if KEY in one.extra_info]
    if not pipelines:
        raise ReportError(
            f"{path}: none of its {len(saved.benchmarks)} benchmarks is of the "
            f"pipeline; save those of pytest_pipeline.suite.benchmarks with "
            f"--benchmark-json"
        )
    if KEY not in saved.machine_info:
        raise ReportError(f"{path}: does not say what machine it was measured on")
    machine = saved.machine_info[KEY]
    return Session(
        machine=_convert(path, machine, Machine, "machine_info is of another version"),
        when=saved.datetime,
        benchmarks=[(one.name, _measured(path, one)) for one in pipelines],
        commit=_commit_name(saved.commit_info),
        failures=saved.pipeline.failures,
    )


def _commit_name(commit: _Commit) -> str:
    # Without a commit, pytest-benchmark writes a word such as "unversioned".
    if not set(commit.id) <= set(hexdigits):
        return ""
    return commit.id[:8] + (" with changes" if commit.id and commit.dirty else "")


def _loaded(path: str | Path) -> Any:
    try:
        # pytest-benchmark may write NaN, which json accepts and msgspec does not.
        return json.loads(Path(path).read_bytes())
    except OSError as error:
        raise ReportError(f"can't read {path}: {one_line(error)}") from error
    except (ValueError, RecursionError) as error:
        raise ReportError(f"{path}: is not JSON: {one_line(error)}") from error


def _measured(path: str | Path, benchmark: _Benchmark) -> Measured:
    what = f"benchmark {benchmark.name} is of another version"
    measured = _convert(path, benchmark.extra_info[KEY], Measured, what)
    for throughput in measured.throughput_per_s:
        if not (0 < throughput < math.inf):
            raise ReportError(
                f"{path}: benchmark {benchmark.name}: a throughput of {throughput} "
                f"records/s can't be"
            )
    return measured


def _convert(path: str | Path, value: Any, type_: type[_T], wrong: str) -> _T:
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        raise ReportError(f"{path}: {wrong}: {one_line(error)}") from error
