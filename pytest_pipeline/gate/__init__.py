"""The gate: did this change make a benchmark slower than it was at another revision?

``gating.py`` is the main flow: ``revisions.py`` checks both revisions out,
``building.py`` makes an environment of each, ``peer.py`` runs the benchmarks of one,
where ``worker.py`` obeys it, ``measuring.py`` has the two take turns, ``judging.py``
gives the verdicts, and ``summary.py`` writes them down; ``page.py`` is the page, with
``charts.py``. Only ``options.py`` is imported where there is no gate, and plotly only
where a page is drawn.
"""
