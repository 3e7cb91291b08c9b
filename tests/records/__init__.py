"""Tests of `pytest_pipeline.records`."""
