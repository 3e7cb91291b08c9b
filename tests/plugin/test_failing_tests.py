"""The report of a failed test shows the servers that it used."""

from __future__ import annotations

from pathlib import Path

import pytest

GREETER = Path(__file__).parent / "greeter.py"

BATCH = """
    from pipeline.transport.wire import pack
    from pipeline.v1.lines_pb2 import Lines
    from pipeline.v1.pipeline_pb2 import Batch

    def batch(number):
        batch = Batch(number=number, records=1)
        pack(Lines(first_record=1, text=b"x\\n"), into=batch.payload)
        return batch
"""


def failed_report(pytester: pytest.Pytester, source: str, *options: str) -> str:
    """Run one test that fails; return what pytest shows."""
    pytester.makepyfile(helper=BATCH)
    pytester.makepyfile(source)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", *options)
    result.assert_outcomes(failed=1)
    return result.stdout.str()


KILLED = """
    import os, signal
    import pytest
    from helper import batch

    @pytest.mark.pipeline(servers="subprocess")
    def test_it(parse_stage):
        list(parse_stage.stub.Process(iter([batch(4)])))
        os.kill(parse_stage.pid, signal.SIGKILL)
        list(parse_stage.stub.Process(iter([batch(5)])))
"""


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_a_stage_that_was_killed_is_named_as_the_cause(
    pytester: pytest.Pytester, options: tuple[str, ...]
) -> None:
    """With its exit status and its last batches; under xdist too."""
    shown = failed_report(pytester, KILLED, *options)

    assert "pipeline: the likely cause" in shown
    assert "stage parse died: ended by SIGKILL" in shown
    assert "stage parse (subprocess at unix:" in shown
    assert "→ batch 4: 1 records" in shown
    assert "← batch 4: 0 records, 1 rejected" in shown


def test_the_log_of_a_killed_process_is_shown(
    pytester: pytest.Pytester,
) -> None:
    """Up to the last line before its end."""
    pytester.makepyfile(greeter=GREETER.read_text())
    shown = failed_report(
        pytester,
        """
        import os, signal
        from greeter import Greeter, add_GreeterServicer_to_server, name

        def test_it(stage_server):
            server = stage_server(
                Greeter(),
                add_to_server=add_GreeterServicer_to_server,
                servers="subprocess",
            )
            server.stub.Greet(name("you"))
            os.kill(server.pid, signal.SIGKILL)
            server.stub.Greet(name("me"))
        """,
    )

    assert "stage Greeter died: ended by SIGKILL" in shown
    log = shown.split("last lines of its log")[1]
    assert "Greeter WARNING greeting you" in log


def test_the_end_of_the_log_of_a_stage_is_shown(pytester: pytest.Pytester) -> None:
    """It has the traceback of a stage function that raised."""
    shown = failed_report(
        pytester,
        """
        from pipeline.stages import Output, stage
        from pipeline.v1.lines_pb2 import Lines
        from helper import batch

        @stage
        def break_down(lines: Lines) -> Output[Lines]:
            raise ZeroDivisionError("no luck")

        def test_it(stage_server):
            list(stage_server(break_down).stub.Process(iter([batch(0)])))
        """,
    )

    assert "stage break_down (inprocess at unix:" in shown
    assert "pipeline.transport.servicers ERROR batch 0: failed" in shown
    assert "ZeroDivisionError: no luck" in shown.split("last lines of its log")[1]


@pytest.mark.parametrize("servers", ["inprocess", "subprocess"])
def test_the_last_batches_of_a_run_are_shown_for_each_leg(
    pytester: pytest.Pytester, servers: str
) -> None:
    """The orchestrator traces them, not the channel of the test."""
    shown = failed_report(
        pytester,
        f"""
        import pytest

        @pytest.mark.pipeline(servers="{servers}", batch_sizes=10, events=30)
        def test_it(run_pipeline):
            assert not run_pipeline().results
        """,
    )

    for stage in ("ingest", "parse", "rules", "aggregate", "sink"):
        assert f"stage {stage} ({servers} at unix:" in shown
    assert "→ batch 2: 10 records" in shown


def test_a_server_that_the_test_did_not_use_is_not_shown(
    pytester: pytest.Pytester,
) -> None:
    """Though the test before used it."""
    pytester.makepyfile(
        """
        def test_first(parse_stage):
            assert parse_stage.health == "SERVING"

        def test_second(parse_stage):
            assert False
        """
    )
    shown = pytester.runpytest_subprocess().stdout.str()

    assert "stage parse (" not in shown


def test_an_error_at_setup_says_why_a_server_did_not_start(
    pytester: pytest.Pytester,
) -> None:
    """With its exit code and its last line of log."""
    pytester.makepyfile("def test_it(parse_stage): pass")
    result = pytester.runpytest_subprocess(
        "--pipeline-stage", "parse=sh -c 'echo no licence >&2; exit 3'"
    )

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*stage parse did not start: ended with exit code 3; it last said: no licence"]
    )
