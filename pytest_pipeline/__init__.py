"""What proves and measures a pipeline in pytest."""

from pytest_pipeline.fixtures import StageServerFactory, stage_fixture

__all__ = ["StageServerFactory", "stage_fixture"]
