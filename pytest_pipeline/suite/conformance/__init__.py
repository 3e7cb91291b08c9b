"""``pytest --pyargs pytest_pipeline.suite.conformance --pipeline-stage NAME=…``."""
