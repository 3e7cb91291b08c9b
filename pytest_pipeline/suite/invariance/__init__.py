"""``pytest --pyargs pytest_pipeline.suite.invariance --pipeline-workload NAME``."""
