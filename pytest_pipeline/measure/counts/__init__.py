"""Counts that are the same in every run, compared exactly with a baseline file.

`traffic` counts the messages and bytes on each leg, `instructions` what a call of a
stage function executes, `baseline` is the file, and `check` compares with it.
"""
