"""Run a workload in parts that an executor passes to other processes or machines."""
