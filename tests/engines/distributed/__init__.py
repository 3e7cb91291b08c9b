"""The engine that runs parts of a workload in other processes."""
