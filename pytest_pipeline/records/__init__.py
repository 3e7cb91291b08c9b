"""The records that tests and benchmarks feed to pipelines.

`samples` has a fixed stream for each workload, `strategies` has Hypothesis strategies.
"""
