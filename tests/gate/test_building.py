"""What an environment of a side has in it."""

from __future__ import annotations

from pathlib import Path

from pytest_pipeline.gate.building import Building, versions_in


def test_versions_are_those_of_the_environment(tmp_path: Path) -> None:
    """By name, without what is installed here, and without what is half removed."""
    site = tmp_path / "environment" / "lib" / "python3.11" / "site-packages"
    for folder in ("the_thing-1.2.dist-info", "Also-3.dist-info", "~so-2.dist-info"):
        (site / folder).mkdir(parents=True)
    (site / "thing").mkdir()
    building = Building("new", tmp_path, tmp_path / "environment", tmp_path / "log")

    versions = versions_in(building)

    assert list(versions.items()) == [("Also", "3"), ("the-thing", "1.2")]


def test_an_environment_of_nothing_has_no_versions(tmp_path: Path) -> None:
    """Such as one that a side's command has taken away."""
    assert versions_in(Building("new", tmp_path, tmp_path / "no", tmp_path)) == {}
