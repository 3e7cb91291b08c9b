"""Tests of the library of invariance."""
