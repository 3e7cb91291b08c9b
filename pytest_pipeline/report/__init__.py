"""The report of a benchmark session: a page, and tables in the terminal.

Results become tables and charts in this order: ``benchmark_json.py`` reads a saved
session, ``analysis.py`` derives cost, batch size and crossover, ``tables.py`` and
``charts/`` present them, ``sections.py`` and ``session_page.py`` compose the page, and
``page.py`` writes any page as HTML; the gate uses it too. ``summary.py`` is the pytest
plugin.
"""
