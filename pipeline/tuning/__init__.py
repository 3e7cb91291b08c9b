"""The cost of a batch, the sweep that measures it, and calibration."""
