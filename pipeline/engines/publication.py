"""What a run publishes, under the engines that write the result themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pipeline.accounting import RunAccount
from pipeline.engines.base import RunSettings, check_end
from pipeline.errors import Place
from pipeline.publishing import Draft
from pipeline.rejects import RejectsFile, settle_left
from pipeline.result import ResultWriter
from pipeline.stages import SINK


@dataclass(frozen=True, slots=True)
class Publication:
    """The drafts of a run's result and rejects, and the account of its records."""

    settings: RunSettings
    account: RunAccount
    result: ResultWriter
    rejects: RejectsFile | None

    def publish(self, place: Place) -> None:
        """Check the account, then publish result and rejects.

        Args:
            place: Is set to the sink before its functions are called.

        Raises:
            PipelineError: The run has failed; earlier files are as they were.
        """
        __tracebackhide__ = True
        check_end(self.account, self.settings)
        if self.rejects is not None:
            self.rejects.prepare()
        place.stage, place.batch = SINK, None
        self.settings.on_publish()
        self.result.commit(self.account.batches, self.account.passed)
        if self.rejects is not None:
            self.rejects.publish()


@contextmanager
def open_publication(settings: RunSettings) -> Iterator[Publication]:
    """Open the drafts of a run; discard at the end what was not published.

    Raises:
        SinkError: A draft can't be written.
    """
    __tracebackhide__ = True
    with open_rejects(settings) as rejects, Draft(settings.output) as output:
        account = RunAccount(settings.workload.stage_names, rejects)
        result = ResultWriter(settings.workload.new_result(), output)
        yield Publication(settings, account, result, rejects)


@contextmanager
def open_rejects(
    settings: RunSettings, *, sees_result: bool = True
) -> Iterator[RejectsFile | None]:
    """Open the rejects file of a run; yield None if it has none.

    Args:
        settings: The settings of the run.
        sees_result: Whether the output is a path in this process's file system.

    Raises:
        SinkError: It can't be written.
    """
    __tracebackhide__ = True
    result = settings.output if sees_result else None
    if result is not None:
        settle_left(result)
    if settings.rejects is None:
        yield None
        return
    with RejectsFile(settings.rejects, result) as rejects:
        yield rejects
