"""Compare the stages in each language: alone under load, and in the whole pipeline.

Run ``pytest --pyargs pytest_pipeline.suite.languages``.
"""
