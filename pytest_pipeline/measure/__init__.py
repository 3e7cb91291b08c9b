"""Measure how fast engines run workloads, and compare what was measured.

`harness` has the engines and datasets of a session, `checked_runs` checks each result,
`comparison` answers which of two callables is faster, and `results` is what is saved.
"""
