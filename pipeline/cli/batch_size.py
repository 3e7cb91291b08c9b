"""The value of the option ``--batch-size``."""

from __future__ import annotations

import click

from pipeline.batching import AUTO, BatchSize


def batch_size(text: str) -> BatchSize:
    """Return the number of records in ``text``, or ``auto``.

    Raises:
        BadParameter: It is neither.
    """
    if text == AUTO:
        return AUTO
    try:
        return int(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is neither a number nor {AUTO}") from None
