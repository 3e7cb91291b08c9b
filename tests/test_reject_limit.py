"""The most records that may be rejected."""

from __future__ import annotations

import pytest

from pipeline.errors import SourceError, UsageError
from pipeline.reject_limit import RejectLimit


@pytest.mark.parametrize(
    ("text", "most"), [("0", 0), ("3", 3), ("0%", 0), ("5%", 5), ("2.5%", 2)]
)
def test_a_limit_holds_to_the_record(text: str, most: int) -> None:
    """Of 100 records."""
    limit = RejectLimit.parsed(text)
    limit.check_count(most)
    limit.check_end(most, 100)

    with pytest.raises(
        SourceError, match=f"{most + 1} of 100 .* more than --max-rejects {text};"
    ):
        limit.check_end(most + 1, 100)


def test_a_number_is_checked_while_the_run_goes_on() -> None:
    """A percentage is not, since what follows may be good."""
    with pytest.raises(SourceError, match="4 records are rejected so far, more than"):
        RejectLimit.parsed("3").check_count(4)
    RejectLimit.parsed("3%").check_count(4)


@pytest.mark.parametrize("text", ["", "-1", "1.5", "101%", "%", "x", "nan%", "1 %"])
def test_what_is_no_limit_is_refused(text: str) -> None:
    """The error says what is one."""
    with pytest.raises(UsageError, match="must be a number of records"):
        RejectLimit.parsed(text)
