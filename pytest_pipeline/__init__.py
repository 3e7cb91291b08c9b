"""What proves and measures a pipeline in pytest."""
