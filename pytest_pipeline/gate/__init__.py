"""The gate: has a change made a benchmark slower than at another revision?

``gating.py`` is the main flow, for pytest's option and for ``command.py``.
``revisions.py`` finds both revisions and checks them out, with ``submodules.py``.
``installation.py`` reads how to install each, and ``environments.py`` builds.
``surroundings.py`` decides what a side sees of the outside, and ``arguments.py`` does
so for the command line. ``side_session.py`` runs pytest there and drives it through
``worker.py``. ``measuring.py`` interleaves the two sides' rounds, ``verdict.py`` gives
the verdicts, ``outcome.py`` sums them up, ``text.py`` and ``page.py`` present them, and
``summary.py`` writes the files. pytest loads ``options.py`` in every session, and the
rest only for a gate.
"""
