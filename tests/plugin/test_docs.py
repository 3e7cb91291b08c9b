"""The examples of the documentation run as they stand."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from pipeline.cli import cli
from tests.pages import GREETER, PAGES, ROOT, blocks, has_tests, python_files

WITH_TESTS = [page for page in PAGES if has_tests(page)]


def page_name(page: object) -> str:
    """Return the name of a page as an id of a test."""
    return str(page).removeprefix(f"{ROOT}/").removeprefix("docs/")


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "xdist"])
@pytest.mark.parametrize("page", WITH_TESTS, ids=page_name)
def test_the_tests_of_a_page_pass(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    page: Path,
    options: tuple[str, ...],
) -> None:
    """The files of a page pass as one folder, beside the greeter of the examples."""
    # By which pytest-benchmark knows a worker of xdist, if these tests run in one.
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    files = {"greeter.py": GREETER.read_text()} | python_files(page)
    for name, text in files.items():
        (pytester.path / name).write_text(text)

    result = pytester.runpytest_subprocess("-q", *options)

    text = "".join(files.values())
    tests = text.count("\ndef test_")
    # Comparisons are skipped under xdist.
    skipped = len(re.findall(r"\(.*pipeline_compare.*\):", text)) if options else 0
    outcomes = result.parseoutcomes()
    assert result.ret == pytest.ExitCode.OK
    assert outcomes.get("skipped", 0) == skipped
    assert outcomes.get("passed", 0) >= tests - skipped
    assert tests > 0


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_the_options_in_the_commands_of_a_page_exist(
    page: Path, pytestconfig: pytest.Config
) -> None:
    """A renamed option of pipeline or of the plugin is noticed on every page."""
    for block in blocks(page):
        for command in block.commands if block.language == "sh" else ():
            words = shlex.split(command, comments=True)
            for option in re.findall(r"--pipeline-[a-z-]+", " ".join(words)):
                key = option.removeprefix("--").replace("-", "_")
                assert pytestconfig.getoption(key, default=key) != key, option
            if words[:1] == ["pipeline"]:
                assert_is_a_command(words[1:])


def assert_is_a_command(words: list[str]) -> None:
    """Fail unless ``pipeline`` has the command and each of its options."""
    context = click.Context(cli)
    command = cli.get_command(context, words[0])
    assert command is not None, words[0]
    known = {name for option in command.params for name in option.opts}
    given = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert given <= {*known, "--help"}, words


def test_every_page_is_in_a_table_of_contents() -> None:
    """The site has no page that no other page leads to."""
    index = (ROOT / "docs" / "index.md").read_text()
    listed = set(
        re.findall(r"^(?:.*<)?([a-z-]+/[a-z-]+)>?$", index, flags=re.MULTILINE)
    )

    pages = {page_name(page).removesuffix(".md") for page in PAGES}
    assert pages - {"README", "index"} == listed
