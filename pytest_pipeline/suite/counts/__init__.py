"""``pytest --pyargs pytest_pipeline.suite.counts --pipeline-baseline FILE``."""
