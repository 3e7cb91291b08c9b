"""The monolith: the same stage functions in one process, without gRPC."""

from __future__ import annotations

from pipeline.accounting import RunReport
from pipeline.batching import LiveLimits
from pipeline.engines.base import RunSettings
from pipeline.engines.in_process import Laps, named_failures, pass_batches
from pipeline.engines.publication import Publication, open_publication
from pipeline.errors import Place
from pipeline.inputs import Inputs
from pipeline.position import read_from
from pipeline.sizing import BATCH_BYTES, BatchSizer
from pipeline.stages import SINK

# Seconds that a batch of one event takes in all stage functions; ``pipeline run`` at
# batch size 1.
_FIXED_S = 30e-6


class MonolithEngine:
    """Runs a workload in this process, one batch after the other."""

    name = "monolith"

    def run(self, settings: RunSettings) -> RunReport:
        """Run to the end, as `Engine.run` says."""
        __tracebackhide__ = True
        with open_publication(settings) as publication:
            laps = Laps()
            with named_failures() as place:
                _pass_batches(publication, laps, place)
                publication.publish(place)
            laps.end(SINK)
        account, cpu_s = publication.account, laps.cpu_s
        for stage, timing in laps.timings().items():
            account.stages[stage].spend(timing)
        return account.report(
            workload=settings.workload.name,
            engine=self.name,
            batch_size=settings.batch_size,
            elapsed_s=laps.elapsed_s,
            startup_s=0.0,
            cpu_s=cpu_s,
            one_process=True,
        )


def _pass_batches(publication: Publication, laps: Laps, place: Place) -> None:
    """Take every batch from the source through the stage functions to the result."""
    __tracebackhide__ = True
    settings, account = publication.settings, publication.account
    inputs = Inputs()
    sizer, live = BatchSizer(_FIXED_S), LiveLimits(1, BATCH_BYTES)

    def settled(ingested: int, took_ns: int) -> None:
        if settings.sizes_batches:
            sizer.observe("all", ingested, took_ns / 1e9)
            live.change(sizer.records, BATCH_BYTES)
        settings.on_settled(account)
        publication.end_batch()

    pass_batches(
        settings.workload,
        read_from(
            publication.position,
            settings.workload.source,
            settings.source,
            live if settings.sizes_batches else settings.fixed_limits,
            settings.max_records,
            inputs,
        ),
        account,
        laps,
        place,
        add=publication.result.add,
        on_settled=settled,
        first_batch=publication.position.batches,
        take_waited_ns=inputs.take_waited_ns,
    )
