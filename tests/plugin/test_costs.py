"""The plugin costs nothing where it is not used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("grpc", "google.protobuf", "numpy", "hypothesis", "psutil", "msgspec")


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_an_informational_option_imports_nothing_heavy(
    tmp_path: Path, option: str
) -> None:
    """Though --help loads the plugin for its options."""
    done = subprocess.run(
        [
            *(sys.executable, "-X", "importtime", "-m", "pytest", option),
            *("-p", "no:hypothesispytest"),
        ],
        cwd=tmp_path,
        capture_output=True,
        check=True,
        text=True,
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}

    assert ("pytest_pipeline.options" in imported) is (option == "--help")
    for name in HEAVY:
        assert name not in imported


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_a_session_that_does_not_use_the_plugin_imports_nothing_heavy(
    pytester: pytest.Pytester, options: tuple[str, ...]
) -> None:
    """From collection to the end of its tests."""
    pytester.makepyfile(
        f"""
        import sys

        def test_it():
            assert "pytest_pipeline.plugin" in sys.modules
            assert not [name for name in {HEAVY} if name in sys.modules]
        """
    )

    pytester.runpytest_subprocess(
        "-p", "no:hypothesispytest", *options
    ).assert_outcomes(passed=1)


def test_without_autoload_the_plugin_is_loaded_by_name(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With -p pytest_pipeline.plugin."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_PLUGINS", raising=False)
    pytester.makepyfile("def test_it(parse_stage): assert parse_stage.address")

    without = pytester.runpytest_subprocess()
    by_name = pytester.runpytest_subprocess("-p", "pytest_pipeline.plugin")

    without.assert_outcomes(errors=1)
    by_name.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("fixture", "module"),
    [("stage_server", "psutil"), ("stage_driver", "grpc_testing")],
)
def test_a_missing_package_is_named(
    pytester: pytest.Pytester, fixture: str, module: str
) -> None:
    """With the command that installs it, when a test needs it."""
    pytester.makeconftest(
        f"""
        import importlib.util
        import pytest

        @pytest.fixture(autouse=True, scope="session")
        def without_it():
            found = importlib.util.find_spec
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(
                    "pytest_pipeline.fixtures.find_spec",
                    lambda name: None if name == "{module}" else found(name),
                )
                yield
        """
    )
    pytester.makepyfile(f"def test_it({fixture}): pass")

    result = pytester.runpytest_subprocess()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [f"*needs {module}; pip install 'pytest-grpc-pipeline?test?'*"]
    )
