"""Runs with faults: processes, connections, disks and inputs fail, as a seed draws it.

Each run has 20,000 events in batches of 20, one or two servers of each transform stage,
and one to three faults. It must end with the exact result, or with one clear line and
the earlier output; and it must leave nothing behind.

- `plan` draws the faults. Each happens at a moment of the run's progress, such as when
  the rules are about to get their 300th batch.
- `reporting` is the workload, whose processes tell the runner of each such moment, and
  wait while the runner makes the fault.
- `injection` makes the faults, `running` starts the run and gathers what it has left,
  and `judging` says whether that is what was promised.

``python -m tests.faults --seeds 17`` repeats a seed. The faults and the stage that they
are bound to are the same then. What can differ is how far the other stages have come at
that moment, which of two servers has the batch, and how long a pause is in terms of
batches.
"""
