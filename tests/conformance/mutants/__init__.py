"""Stages that are each broken in one way, to prove the checks that must catch them."""

from __future__ import annotations

from tests.conformance.mutants import payloads, replies, results, streams
from tests.conformance.mutants.honest import Honest

#: Those in Python that need no process of their own.
MUTANTS: tuple[type[Honest], ...] = (
    *replies.MUTANTS,
    *streams.MUTANTS,
    *payloads.MUTANTS,
    *results.MUTANTS,
)
