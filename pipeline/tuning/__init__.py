"""Tuning: sweep over batch sizes, fit their cost, calibrate CPU-bound work."""
