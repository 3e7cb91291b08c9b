"""Runs in which processes, files and connections fail at moments drawn from a seed."""
