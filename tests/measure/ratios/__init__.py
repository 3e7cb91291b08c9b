"""Tests of ratios."""
