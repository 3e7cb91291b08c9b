"""Tests that must pass at any batch size, set by ``--pipeline-batch-sizes``."""
