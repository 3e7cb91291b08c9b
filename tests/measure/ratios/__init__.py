"""Tests of ratios that are held to a file within intervals."""
