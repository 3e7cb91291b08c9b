"""The engines that run a workload: monolith and split."""
