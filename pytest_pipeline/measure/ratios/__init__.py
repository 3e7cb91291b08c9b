"""What batching gains and the split costs, held to a file within intervals.

`pairs.py` says which ratios there are, `measuring.py` measures one, `judging.py` says
what it is to the one that was committed, and `baseline.py` is the file of those.
"""
