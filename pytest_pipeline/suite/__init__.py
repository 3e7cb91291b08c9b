"""Shipped tests for stages and workloads, run with ``pytest --pyargs``."""
