"""Hypothesis strategies of records; `pytest_pipeline.strategies` exports them."""
