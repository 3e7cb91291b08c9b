"""The error tree: exit codes, and messages that fit in one line."""

from __future__ import annotations

import pytest

from pipeline import errors
from pipeline.errors import PipelineError, UsageError, one_line


def error_classes() -> list[type[PipelineError]]:
    """Return every class of the tree."""
    return [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, PipelineError)
    ]


def test_only_wrong_usage_ends_with_exit_code_2() -> None:
    """UsageError ends with 2, every other failure with 1."""
    codes = {class_: class_.exit_code for class_ in error_classes()}

    assert codes.pop(UsageError) == 2
    assert set(codes.values()) == {1}
    assert len(codes) >= 6


def test_the_module_docstring_draws_the_whole_tree() -> None:
    """Every class of the tree is in the drawing at the top of the module."""
    drawing = errors.__doc__ or ""

    assert [
        class_.__name__ for class_ in error_classes() if class_.__name__ not in drawing
    ] == []


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("two\n lines"), "two lines"),
        (ValueError(), "ValueError"),
        (
            FileNotFoundError(2, "No such file or directory", "x"),
            "no such file or directory",
        ),
    ],
)
def test_any_error_can_be_told_in_one_line(error: Exception, text: str) -> None:
    """Line ends are folded, and an error without a text is told by its class."""
    assert one_line(error) == text
