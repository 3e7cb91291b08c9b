"""Shipped tests, to be pointed at stages and workloads with ``pytest --pyargs``."""
