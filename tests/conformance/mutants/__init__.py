"""Stages that are each broken in one way, to prove that the checks catch them."""

from __future__ import annotations

from tests.conformance.mutants import payloads, replies, results, streams
from tests.conformance.mutants.honest import Honest

#: The mutants that are served in the process of the tests.
MUTANTS: tuple[type[Honest], ...] = (
    *replies.MUTANTS,
    *streams.MUTANTS,
    *payloads.MUTANTS,
    *results.MUTANTS,
)
