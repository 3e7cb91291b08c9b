"""Compare speedups and the cost of the split with a baseline file.

Run ``pytest --pyargs pytest_pipeline.suite.ratios --pipeline-baseline FILE``.
"""
