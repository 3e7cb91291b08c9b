"""The benchmarks: what they are made of, and the suite."""
