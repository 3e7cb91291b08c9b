"""``pytest --pyargs pytest_pipeline.suite.ratios --pipeline-baseline FILE``."""
