"""Benchmarks of workloads, engines and transports.

Run ``pytest --pyargs pytest_pipeline.suite.benchmarks --benchmark-only``.
"""
