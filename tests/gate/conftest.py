"""Fixtures of the gate's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gate.project import BENCHMARKS, WORK, Project, new_project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A repository without a commit."""
    return new_project(tmp_path / "project")


@pytest.fixture
def benchmarked(project: Project) -> Project:
    """A repository with two benchmarks, committed."""
    project.write("work.py", WORK)
    project.commit("test_work.py", BENCHMARKS)
    return project
