"""Tests of what the split is measured against."""
