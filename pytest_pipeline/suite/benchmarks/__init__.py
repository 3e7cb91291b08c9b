"""``pytest --pyargs pytest_pipeline.suite.benchmarks --benchmark-only``."""
