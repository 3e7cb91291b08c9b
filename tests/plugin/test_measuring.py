"""Comparisons in tests of users, the summary of a session, and the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

COMPARES = """
    import time

    def quick():
        sum(range(100))

    def slow():
        sum(range(100_000))

    def test_it(pipeline_compare):
        assert pipeline_compare(quick, slow, sample_s=0.0001).faster_than(slow, by=3)
"""


@pytest.fixture(autouse=True)
def not_in_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide xdist from pytest-benchmark, which disables itself in a worker."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)


def test_a_comparison_is_a_benchmark_and_is_saved(pytester: pytest.Pytester) -> None:
    """--benchmark-only selects it, and the summary shows it."""
    pytester.makepyfile(COMPARES)

    result = pytester.runpytest_subprocess(
        "--benchmark-only", "--benchmark-json=saved.json"
    )

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*what was measured*", "*test_it*holds*"])
    saved = json.loads((pytester.path / "saved.json").read_text())
    (benchmark,) = saved["benchmarks"]
    (compared,) = benchmark["extra_info"]["pipeline"]["comparisons"]
    assert (compared["first"], compared["second"]) == ("quick", "slow")
    assert compared["outcome"] == "faster"
    assert compared["ratio"]["low"] > 3
    assert saved["machine_info"]["pipeline"]["versions"]["grpcio"]


def test_a_comparison_that_does_not_hold_fails_with_the_numbers(
    pytester: pytest.Pytester,
) -> None:
    """In pytest's report of the assertion."""
    pytester.makepyfile(
        COMPARES.replace("faster_than(slow, by=3)", "faster_than(quick)")
    )

    result = pytester.runpytest_subprocess("--benchmark-only")

    result.assert_outcomes(failed=1)
    result.stdout.re_match_lines(
        [r".*<slow is [0-9.e-]+ × as fast as quick \(.* at 99%, 12 rounds, .*faster>"]
    )


def test_a_test_may_compare_more_than_once(pytester: pytest.Pytester) -> None:
    """pytest-benchmark still has one entry for the test."""
    pytester.makepyfile(
        COMPARES
        + "        assert pipeline_compare(slow, quick).not_faster_than(quick)\n"
    )

    result = pytester.runpytest_subprocess(
        "--benchmark-only", "--benchmark-json=saved.json"
    )

    result.assert_outcomes(passed=1)
    (benchmark,) = json.loads((pytester.path / "saved.json").read_text())["benchmarks"]
    assert len(benchmark["extra_info"]["pipeline"]["comparisons"]) == 2


@pytest.mark.parametrize("options", [("--benchmark-disable",), ("-n", "1")])
def test_a_comparison_is_skipped_if_benchmarks_are_disabled(
    pytester: pytest.Pytester, options: tuple[str, ...]
) -> None:
    """The reason says why, and there is no summary."""
    pytester.makepyfile(COMPARES)

    result = pytester.runpytest_subprocess("-rs", "-Wignore", *options)

    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*a comparison takes time, and benchmarks are*"])
    result.stdout.no_fnmatch_line("*what was measured*")


def test_the_page_is_written_at_the_end_of_a_session(pytester: pytest.Pytester) -> None:
    """The session prints its path."""
    pytester.makepyfile(COMPARES)

    result = pytester.runpytest_subprocess(
        "--benchmark-only", "--pipeline-report=page.html"
    )

    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["written: page.html"])
    assert "test_it" in (pytester.path / "page.html").read_text()


def test_a_session_without_measurements_fails_and_keeps_the_earlier_page(
    pytester: pytest.Pytester,
) -> None:
    """If a page was asked for, since it would look like a result."""
    (pytester.path / "page.html").write_text("earlier")
    pytester.makepyfile("def test_it(): pass")

    result = pytester.runpytest_subprocess("--pipeline-report=page.html")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["--pipeline-report page.html: not written: nothing was measured*"]
    )
    assert (pytester.path / "page.html").read_text() == "earlier"


def test_a_page_that_can_not_be_written_fails_the_session(
    pytester: pytest.Pytester,
) -> None:
    """One line says why, and the summary is still printed."""
    (pytester.path / "page.html").mkdir()
    pytester.makepyfile(COMPARES)

    result = pytester.runpytest_subprocess(
        "--benchmark-only", "--pipeline-report=page.html"
    )

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["*test_it*holds*", "--pipeline-report page.html: not written: *"]
    )


def test_a_page_in_a_missing_folder_is_a_usage_error(pytester: pytest.Pytester) -> None:
    """Before anything is measured."""
    pytester.makepyfile(COMPARES)

    result = pytester.runpytest_subprocess("--pipeline-report=nowhere/page.html")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: --pipeline-report nowhere/page.html: there is no folder nowhere"]
    )


def test_a_benchmark_may_record_its_own_measurements(pytester: pytest.Pytester) -> None:
    """The summary shows them."""
    pytester.makepyfile(
        """
        from pytest_pipeline.measure.results import Measured

        def test_mine(benchmark, pipeline_record):
            benchmark.pedantic(lambda: None)
            pipeline_record.note(
                Measured(
                    group="batching", variant="split", workload="mine",
                    batch_size=7, records=70, throughput_per_s=[1234.0],
                )
            )
        """
    )

    result = pytester.runpytest_subprocess("--benchmark-only")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*mine*", "*7*1,234*"])


def test_a_session_without_measurements_has_no_summary(
    pytester: pytest.Pytester,
) -> None:
    """Its output does not mention measuring."""
    pytester.makepyfile("def test_it(): pass")

    result = pytester.runpytest_subprocess()

    result.stdout.no_fnmatch_line("*measured*")


def test_a_missing_package_is_named(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the command that installs it, before anything is measured."""
    hidden = Path(pytester.path) / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        "import importlib.util as util\n"
        "found = util.find_spec\n"
        "util.find_spec = lambda name, *rest: (\n"
        "    None if name == 'scipy' else found(name, *rest)\n"
        ")\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(hidden))
    pytester.makepyfile(COMPARES)

    compared = pytester.runpytest_subprocess("--benchmark-only")

    compared.assert_outcomes(errors=1)
    compared.stdout.fnmatch_lines(
        ["*needs scipy; pip install 'pytest-grpc-pipeline?test?'*"]
    )


def test_answers_come_first_and_last_and_whole_tests_are_not_ranked(
    pytester: pytest.Pytester,
) -> None:
    """pytest-benchmark's table has runs only, and a failed test draws no answer."""
    pytester.makepyfile(
        """
        import pytest
        from pytest_pipeline.measure.results import Measured

        @pytest.mark.parametrize("size", [1, 10])
        def test_runs(benchmark, pipeline_record, size):
            benchmark.pedantic(lambda: None)
            pipeline_record.note(
                Measured(
                    group="batching", variant="split", workload="events",
                    batch_size=size, throughput_per_s=[size, size, size],
                )
            )

        def test_compared(pipeline_compare):
            def slow():
                sum(range(99))

            pipeline_compare(lambda: None, slow, budget_s=0.1).faster_than(slow)

        @pytest.mark.benchmark(group="claims")
        def test_claim(benchmark):
            benchmark.pedantic(lambda: None)

        def test_that_fails():
            raise ValueError("the result differs")
        """
    )

    result = pytester.runpytest_subprocess(
        "--benchmark-json=saved.json", "--pipeline-report=page.html", "-rN"
    )

    said = result.stdout.str()
    answers = "events: what wins it back? no answer, because 1 test of it failed"
    table = said.split("benchmark: 2 tests")[1].split("what was measured")[0]
    assert said.count(answers) == 3
    assert said.index(answers) < said.index("benchmark: 2 tests")
    assert "test_runs[10]" in table
    assert "test_compared" not in table
    assert "test_claim" not in table
    saved = json.loads((pytester.path / "saved.json").read_text())
    assert saved["pipeline"]["failures"] == [
        ["test_that_fails", "ValueError: the result differs"]
    ]
    assert len(saved["benchmarks"]) == 4
    assert "1 test failed." in (pytester.path / "page.html").read_text()
