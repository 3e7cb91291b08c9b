"""A test runs once for each batch size and workload."""

from __future__ import annotations

import pytest

from tests.plugin.sessions import (
    EVENTS,
    MIXED,
    ids,
    seen_by,
)


def test_a_test_runs_once_for_each_batch_size(pytester: pytest.Pytester) -> None:
    """In the order of the option."""
    seen = seen_by(
        pytester,
        "def test_x(pipeline_batch_size): pass",
        "--pipeline-batch-sizes=7,1",
    )

    assert {name: given["pipeline_batch_size"] for name, given in seen.items()} == {
        "test_x[7]": 7,
        "test_x[1]": 1,
    }
    assert list(seen) == ["test_x[7]", "test_x[1]"]


def test_a_test_runs_once_for_each_workload(pytester: pytest.Pytester) -> None:
    """A workload of a user, given by its module, is one of them."""
    pytester.makepyfile(mine="from pipeline.workloads.events import EVENTS as MINE")
    seen = seen_by(
        pytester,
        "def test_x(pipeline_workload): pass",
        "--pipeline-workload=events,mixed,mine:MINE",
    )
    workloads = {name: given["pipeline_workload"] for name, given in seen.items()}

    assert workloads.pop("test_x[mine:MINE]").name == "mine:MINE"
    assert workloads == {"test_x[events]": EVENTS, "test_x[mixed]": MIXED}


def test_a_test_runs_once_for_each_workload_and_batch_size(
    pytester: pytest.Pytester,
) -> None:
    """If it asks for both."""
    names = ids(
        pytester,
        "def test_x(pipeline_batch_size, pipeline_workload): pass",
        "--pipeline-workload=events,mixed",
        "--pipeline-batch-sizes=1,2",
    )

    assert sorted(names) == [
        "test_x[events-1]",
        "test_x[events-2]",
        "test_x[mixed-1]",
        "test_x[mixed-2]",
    ]


@pytest.mark.parametrize(
    ("arguments", "options", "names"),
    [
        ("pipeline_settings", (), ["test_x"]),
        ("pipeline_workload", (), ["test_x"]),
        ("pipeline_batch_size", ("--pipeline-batch-sizes=5",), ["test_x"]),
        (
            "pipeline_batch_size, pipeline_workload",
            (),
            ["test_x[auto]", "test_x[1]", "test_x[10]", "test_x[100]"],
        ),
        (
            "pipeline_batch_size, pipeline_workload",
            ("--pipeline-batch-sizes=5", "--pipeline-workload=events,mixed"),
            ["test_x[events]", "test_x[mixed]"],
        ),
        ("tmp_path", (), ["test_x"]),
    ],
)
def test_one_value_is_not_in_the_name_of_a_test(
    pytester: pytest.Pytester,
    arguments: str,
    options: tuple[str, ...],
    names: list[str],
) -> None:
    """Nor are values that the test does not ask for."""
    assert ids(pytester, f"def test_x({arguments}): pass", *options) == names


def test_a_batch_size_selects_a_test_by_its_name(pytester: pytest.Pytester) -> None:
    """As other ids of parameters do."""
    path = pytester.makepyfile("def test_x(pipeline_batch_size): pass")
    result = pytester.runpytest_inprocess(f"{path}::test_x[10]")

    result.assert_outcomes(passed=1)


def test_a_marker_sets_the_batch_sizes_of_its_test(pytester: pytest.Pytester) -> None:
    """Other tests run with those of the options."""
    names = ids(
        pytester,
        """
        import pytest

        @pytest.mark.pipeline(batch_sizes=(3, 4))
        def test_x(pipeline_batch_size): pass

        @pytest.mark.pipeline(batch_sizes=3)
        def test_y(pipeline_batch_size): pass

        def test_z(pipeline_batch_size): pass
        """,
        "--pipeline-batch-sizes=1,2",
    )

    assert sorted(names) == [
        "test_x[3]",
        "test_x[4]",
        "test_y",
        "test_z[1]",
        "test_z[2]",
    ]


def test_a_fixture_may_ask_for_the_batch_size(
    pytester: pytest.Pytester,
) -> None:
    """A test of that fixture runs once for each."""
    seen = seen_by(
        pytester,
        """
        import pytest

        @pytest.fixture
        def twice(pipeline_batch_size):
            return 2 * [pipeline_batch_size]

        def test_x(twice): pass
        """,
    )

    assert [given["twice"] for given in seen.values()] == [
        ["auto", "auto"],
        [1, 1],
        [10, 10],
        [100, 100],
    ]


def test_a_batch_size_that_is_requested_at_run_time_is_the_first(
    pytester: pytest.Pytester,
) -> None:
    """It is then too late to run the test once for each."""
    pytester.makepyfile(
        """
        def test_x(request):
            assert request.getfixturevalue("pipeline_batch_size") == 7
            assert request.getfixturevalue("pipeline_workload").name == "mixed"
        """
    )
    result = pytester.runpytest_inprocess(
        "--pipeline-batch-sizes=7,8", "--pipeline-workload=mixed,events"
    )

    result.assert_outcomes(passed=1)


@pytest.mark.parametrize("indirect", [True, False])
@pytest.mark.parametrize(
    "argnames", ["'pipeline_batch_size, x'", "['pipeline_batch_size', 'x']"]
)
def test_a_test_may_be_parametrized_with_batch_sizes(
    pytester: pytest.Pytester, argnames: str, indirect: bool
) -> None:
    """Directly, or indirectly through the fixture."""
    through = ["pipeline_batch_size"] if indirect else False
    seen = seen_by(
        pytester,
        f"""
        import pytest

        @pytest.mark.parametrize({argnames}, [(5, "a"), (6, "b")], indirect={through})
        def test_x(pipeline_batch_size, x, pipeline_settings): pass
        """,
    )

    assert {name: given["pipeline_batch_size"] for name, given in seen.items()} == {
        "test_x[5-a]": 5,
        "test_x[6-b]": 6,
    }


def test_a_test_may_have_other_parameters(pytester: pytest.Pytester) -> None:
    """Their ids are joined with the batch size, if there is more than one."""
    source = """
        import pytest

        @pytest.mark.parametrize("x", ["a", "b"])
        def test_x(x, pipeline_batch_size): pass
    """

    assert sorted(ids(pytester, source, "--pipeline-batch-sizes=1")) == [
        "test_x[a]",
        "test_x[b]",
    ]
    assert sorted(ids(pytester, source, "--pipeline-batch-sizes=1,2")) == [
        "test_x[1-a]",
        "test_x[1-b]",
        "test_x[2-a]",
        "test_x[2-b]",
    ]


def test_an_unknown_workload_is_an_error_of_the_test(
    pytester: pytest.Pytester,
) -> None:
    """The error lists the known workloads."""
    pytester.makepyfile("def test_x(pipeline_workload): pass")
    result = pytester.runpytest_inprocess("--pipeline-workload=nonsense")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        "*UsageError: workload 'nonsense': not known; there is events, mixed, *"
    )


def test_settings_reach_the_workers_of_xdist(pytester: pytest.Pytester) -> None:
    """Those of the command line, the ini file and the marker."""
    pytester.makeini("[pytest]\npipeline_stage =\n  parse=./serve\n  sink=./sink\n")
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.pipeline(events=9)
        def test_x(pipeline_settings, pipeline_batch_size, worker_id):
            assert worker_id == "gw0"
            assert pipeline_settings.serving == {"parse": "./serve", "sink": "./sink"}
            assert pipeline_settings.events == 9
            assert pipeline_settings.batch_sizes == (2, 3)
        """
    )
    result = pytester.runpytest_subprocess("-n1", "--pipeline-batch-sizes=2,3")

    result.assert_outcomes(passed=2)
