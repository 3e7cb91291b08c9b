"""Stages that are each broken in one way, to prove that the checks catch them."""

from __future__ import annotations

from tests.conformance.mutants import (
    ingests,
    payloads,
    replies,
    results,
    sinks,
    streams,
)
from tests.conformance.mutants.honest import HonestServer

#: The mutants that are served in the process of the tests.
MUTANTS: tuple[type[HonestServer], ...] = (
    *replies.MUTANTS,
    *streams.MUTANTS,
    *payloads.MUTANTS,
    *results.MUTANTS,
    *ingests.MUTANTS,
    *sinks.MUTANTS,
)
