"""The gate: has a change made a benchmark slower than at another revision?

``gating.py`` is the main flow: ``revisions.py`` checks both revisions out,
``environments.py`` makes an environment for each, ``side_session.py`` runs pytest there
and drives it through ``worker.py``, ``measuring.py`` interleaves the two sides' rounds,
``verdict.py`` gives the verdicts, ``outcome.py`` sums them up, ``text.py`` and
``page.py`` present them, and ``summary.py`` writes the files. pytest loads
``options.py`` in every session, and the rest only for a gate.
"""
