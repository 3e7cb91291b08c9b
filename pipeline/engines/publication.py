"""What a run publishes, under the engines that write the result themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from pipeline.accounting import RunAccount
from pipeline.checkpoint import Checkpoint, open_checkpoint
from pipeline.engines.base import RunSettings, check_end
from pipeline.engines.identity import identity_of
from pipeline.engines.in_process import named_failures
from pipeline.errors import Place
from pipeline.publishing import Draft
from pipeline.rejects import RejectsFile, settle_left
from pipeline.result import ResultWriter
from pipeline.stages import SINK
from pipeline.v1.pipeline_pb2 import Position


@dataclass(frozen=True, slots=True)
class Publication:
    """The drafts of a run's result and rejects, and the account of its records."""

    settings: RunSettings
    account: RunAccount
    result: ResultWriter
    rejects: RejectsFile | None
    checkpoint: Checkpoint | None
    #: Where to begin to read.
    position: Position

    def end_batch(self) -> None:
        """Store the progress, if a checkpoint is due after this batch."""
        __tracebackhide__ = True
        if self.checkpoint is not None:
            self.checkpoint.add_batch()

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
        self.remove_checkpoint()

    def remove_checkpoint(self) -> None:
        """Remove the checkpoint, if there is one: the run is published."""
        if self.checkpoint is not None:
            self.checkpoint.remove()


@contextmanager
def open_publication(settings: RunSettings) -> Iterator[Publication]:
    """Open the drafts of a run; discard at the end what was not published.

    With a checkpoint, they begin with what an earlier attempt at the run has written.

    Raises:
        UsageError: The checkpoint is of another run, or in use.
        SinkError: A draft or the checkpoint can't be written.
    """
    __tracebackhide__ = True
    with ExitStack() as stack:
        checkpoint = None
        if settings.checkpoint is not None:
            # First, so that no draft is made for a run that is refused.
            checkpoint = stack.enter_context(
                open_checkpoint(
                    settings.checkpoint,
                    settings.checkpoint_batches,
                    identity_of(settings),
                )
            )
        rejects = stack.enter_context(open_rejects(settings))
        output = stack.enter_context(Draft(settings.output))
        account = RunAccount(settings.workload.stage_names, rejects)
        result = ResultWriter(settings.workload.new_result(), output)
        position = Position()
        if checkpoint is not None:
            drafts = {"result": output}
            if rejects is not None:
                drafts["rejects"] = rejects.draft
            with named_failures() as place:
                place.stage = SINK
                position = checkpoint.restore(account, result, drafts)
        if position.records:
            settings.on_resume(position.records)
        yield Publication(settings, account, result, rejects, checkpoint, position)


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
