"""Check whether a stage, in any language, keeps the wire contract.

A check (`check`, `checks`, `catalogue`) is run on a stage (`stage_under_test`), which
may declare what it does (`declaration`). `verdict.judge` turns the outcome into a
verdict, `targets` does so for the stages of a test session, and `report` sums them up.
"""
