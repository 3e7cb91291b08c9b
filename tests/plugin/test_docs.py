"""Every example of the documentation is run as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
GREETER = Path(__file__).parent / "greeter.py"
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]


def examples(page: Path) -> dict[str, str]:
    """Return the Python files that a page shows, by the name in their first line."""
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL)
    return {block.partition("\n")[0].removeprefix("# "): block for block in blocks}


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "xdist"])
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_of_a_page_pass(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    page: Path,
    options: tuple[str, ...],
) -> None:
    """As files of one folder, beside a service of the reader's own."""
    # By which pytest-benchmark knows a worker of xdist, if these tests run in one.
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    files = examples(page)
    (pytester.path / "greeter.py").write_text(GREETER.read_text())
    for name, text in files.items():
        assert name.endswith(".py"), f"{page.name}: a block without a file name"
        (pytester.path / name).write_text(text)

    result = pytester.runpytest_subprocess("-q", *options)

    text = "".join(files.values())
    tests = text.count("\ndef test_")
    # A comparison is skipped under xdist.
    skipped = text.count("(pipeline_compare)") if options else 0
    outcomes = result.parseoutcomes()
    assert result.ret == pytest.ExitCode.OK
    assert outcomes.get("skipped", 0) == skipped
    assert outcomes.get("passed", 0) >= tests - skipped > 0


def test_every_option_and_fixture_is_on_the_page() -> None:
    """No table of the plugin's page lacks one."""
    from pytest_pipeline import options, plugin

    page = (ROOT / "docs" / "plugin.md").read_text()

    for name in options.PipelineSettings.__dataclass_fields__:
        assert f"`--pipeline-{name.replace('_', '-')}`" in page
    for fixture in plugin.__all__:
        if fixture != "pipeline_servers":
            assert f"`{fixture}`" in page
