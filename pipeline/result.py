"""Writing the result of a run: fold the payloads in order, publish it whole."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from pipeline.errors import ConservationError
from pipeline.publishing import Draft
from pipeline.stage import ResultFold


class ResultWriter:
    """Folds payloads into a draft of the result and publishes it when it is whole."""

    def __init__(self, fold: ResultFold[Any], draft: Draft) -> None:
        self._fold = fold
        self._draft = draft
        self.batches = 0

    def add(self, message: Message) -> None:
        """Fold in the payload of the next batch."""
        __tracebackhide__ = True
        self._draft.write(self._fold.add(message))
        self.batches += 1

    @property
    def records(self) -> int:
        """Records in the result, counted from the payloads."""
        return self._fold.records

    def commit(self, batches: int, records: int) -> int:
        """Publish the result and return its size in bytes.

        Raises ConservationError, and publishes nothing, where what arrived is not the
        ``batches`` and ``records`` that the run says it has passed on.
        """
        __tracebackhide__ = True
        if (self.batches, self.records) != (batches, records):
            raise ConservationError(
                f"{records} records in {batches} batches were passed on, but the "
                f"result counts {self.records} in {self.batches}; nothing was published"
            )
        self._draft.write(self._fold.finish())
        self._draft.publish()
        return self._draft.size
