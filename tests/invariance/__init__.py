"""Tests of `pytest_pipeline.invariance`."""
