"""Tests of what checks stages."""
