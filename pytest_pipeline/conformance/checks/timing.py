"""The check of the times that a transform stage reports."""

from __future__ import annotations

import time

from pytest_pipeline.conformance.check import check, declares_timing
from pytest_pipeline.conformance.errors import Violation
from pytest_pipeline.conformance.transform_under_test import TransformUnderTest

_NS = 1e9


@check("timing.plausible", declares_timing)
async def plausible(stage: TransformUnderTest) -> None:
    """The IPC share of a run is computed from the times in the replies, so they must
    match the declaration and add up to no more than the time that passed.
    """
    started = time.monotonic()
    replies = await stage.exchange_well(
        [one.batch for one in stage.requests((9, 9, 9))]
    )
    passed = time.monotonic() - started
    reported = 0
    for reply in replies:
        timing = reply.timing
        if stage.declaration.timing and not timing.process_ns:
            raise Violation(f"the reply to batch {reply.number} tells no time")
        if not stage.declaration.timing and reply.HasField("timing"):
            raise Violation(
                f"declares that it tells no times, but the reply to batch "
                f"{reply.number} does"
            )
        reported += timing.wait_ns + timing.decode_ns + timing.process_ns
        reported += timing.encode_ns + timing.send_ns
    if reported / _NS > passed:
        raise Violation(
            f"tells of {reported / _NS:.3f} s in a stream that took {passed:.3f} s"
        )


CHECKS = (plausible,)
