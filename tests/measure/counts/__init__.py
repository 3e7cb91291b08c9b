"""Tests of counts that are the same each time."""
