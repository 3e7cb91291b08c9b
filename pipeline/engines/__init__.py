"""The engines: what runs a workload."""
