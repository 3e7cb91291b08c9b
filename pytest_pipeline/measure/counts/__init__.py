"""What a run costs in figures that are the same each time, held to a file.

`crossings.py` counts what crosses the legs, `instructions.py` what a call of a stage
function executes, and `baseline.py` compares both with what was committed.
"""
