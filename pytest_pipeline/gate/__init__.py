"""The gate: has a change made a benchmark slower than at another revision?

``gating.py`` is the main flow: ``revisions.py`` checks both revisions out,
``building.py`` makes an environment for each, ``peer.py`` runs pytest there and drives
it through ``worker.py``, ``measuring.py`` interleaves the rounds of the two sides,
``judging.py`` gives the verdicts, ``outcome.py`` sums them up, ``text.py`` and
``page.py`` present them, and ``summary.py`` writes the files. pytest loads
``options.py`` in every session, and the rest only for a gate.
"""
