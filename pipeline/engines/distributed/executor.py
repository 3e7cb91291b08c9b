"""What the distributed engine needs of whoever calls functions elsewhere."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol


class Pending(Protocol):
    """A call that was submitted."""

    def result(self) -> Any:
        """Wait for the call, and return what the function returned.

        Raises:
            LostStageError: It was not called to its end, because workers were lost.
        """


class Executor(Protocol):
    """Calls functions in other processes, and again if their process is lost."""

    @property
    def workers(self) -> int:
        """How many calls run at once."""

    def submit(self, function: Callable[[Any], Any], item: Any, /) -> Pending:
        """Call the function, which can be pickled as the item can, without waiting."""


class SerialExecutor:
    """Calls each function at once, in this process."""

    workers = 1

    def submit(self, function: Callable[[Any], Any], item: Any, /) -> Pending:
        """Call the function and keep what it returns."""
        return _Done(function(item))


class _Done:
    def __init__(self, result: Any) -> None:
        self._result = result

    def result(self) -> Any:
        return self._result


def in_order(
    executor: Executor,
    function: Callable[[Any], Any],
    items: Iterable[Any],
    window: int,
) -> Iterator[Any]:
    """Yield what the function returns for each item, in the order of the items.

    At most ``window`` items are submitted and not yet yielded.
    """
    pending: deque[Pending] = deque()
    for item in items:
        if len(pending) == window:
            yield pending.popleft().result()
        pending.append(executor.submit(function, item))
    while pending:
        yield pending.popleft().result()
