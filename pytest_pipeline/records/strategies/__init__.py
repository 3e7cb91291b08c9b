"""Hypothesis strategies of records, exported by `pytest_pipeline.strategies`."""
