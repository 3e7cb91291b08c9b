"""Compare messages, bytes and instructions with a baseline file.

Run ``pytest --pyargs pytest_pipeline.suite.counts --pipeline-baseline FILE``.
"""
