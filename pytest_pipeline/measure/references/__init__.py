"""What the split is measured against, for any workload."""
