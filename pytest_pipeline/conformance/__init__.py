"""Whether a stage, in any language, keeps the wire contract.

`catalogue.CHECKS` has the checks; `judging.judge` runs one against a stage.
"""
