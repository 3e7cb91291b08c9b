"""Ratios that batching gains and the split costs, compared with a baseline file.

`pairs` lists the ratios, `measuring` measures one, `judging` compares it with the
baseline's by their intervals, `baseline` is the file, and `check` uses them in a test.
"""
