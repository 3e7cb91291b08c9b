"""Tests of what continuous integration runs."""
