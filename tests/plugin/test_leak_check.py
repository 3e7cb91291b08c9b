"""A test that passes and leaves something behind gets an error at teardown."""

from __future__ import annotations

import pytest

LEAVES = """
    import socket
    import subprocess
    import sys
    import threading

    import grpc

    kept = []

    def thread():
        return threading.Thread(
            target=threading.Event().wait, name="forgotten", daemon=True
        ).start()

    def process():
        # It reads a pipe of this process, and so ends with it.
        command = [sys.executable, "-c", "input()"]
        kept.append(
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        )

    def channel():
        kept.append(grpc.insecure_channel("127.0.0.1:1"))

    def listener():
        kept.append(socket.create_server(("127.0.0.1", 0)))
"""


def run(pytester: pytest.Pytester, source: str, *options: str) -> pytest.RunResult:
    """Run tests that can import the functions of ``LEAVES``."""
    pytester.makepyfile(leave=LEAVES)
    pytester.makepyfile(source)
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *options)


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("thread", "thread 'forgotten' still runs"),
        ("process", "process * (python* -c input()) still runs"),
        ("channel", "channel to 127.0.0.1:1 is open"),
        ("listener", "socket 127.0.0.1:* is still listening"),
    ],
)
def test_a_leak_is_an_error_that_names_it(
    pytester: pytest.Pytester, what: str, line: str
) -> None:
    """After the fixtures were torn down; the next test gets no error."""
    result = run(
        pytester,
        f"""
        from leave import {what}

        def test_it(pipeline_servers):
            {what}()

        def test_next(pipeline_servers):
            pass
        """,
    )

    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_it*",
            "the test passed, but left behind:",
            line,
        ]
    )


def test_the_last_test_of_a_session_is_checked_too(pytester: pytest.Pytester) -> None:
    """Its teardown includes that of the session."""
    result = run(
        pytester,
        """
        from leave import thread

        def test_it(pipeline_servers):
            thread()
        """,
    )

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["thread 'forgotten' still runs"])


def test_leaks_of_a_failed_test_are_not_reported(pytester: pytest.Pytester) -> None:
    """A failure may leave anything behind, and one report is enough."""
    result = run(
        pytester,
        """
        from leave import thread

        def test_it(pipeline_servers):
            thread()
            assert False

        def test_next(pipeline_servers):
            pass
        """,
    )

    result.assert_outcomes(passed=1, failed=1)
    assert "left behind" not in result.stdout.str()


def test_what_a_fixture_closes_is_no_leak(pytester: pytest.Pytester) -> None:
    """Nor is what the test itself ends."""
    result = run(
        pytester,
        """
        import socket
        import threading
        import pytest

        @pytest.fixture
        def sockets():
            made = []
            yield made
            for each in made:
                each.close()

        def test_it(pipeline_servers, sockets):
            sockets.append(socket.create_server(("127.0.0.1", 0)))
            thread = threading.Thread(target=print)
            thread.start()
            thread.join()

        def test_next(pipeline_servers):
            pass
        """,
    )

    result.assert_outcomes(passed=2)


def test_a_test_without_servers_is_not_checked(pytester: pytest.Pytester) -> None:
    """Even between tests that are checked."""
    result = run(
        pytester,
        """
        from leave import channel, listener, process, thread

        def test_first(pipeline_servers):
            pass

        def test_it():
            channel()
            listener()
            process()
            thread()

        def test_next(pipeline_servers):
            pass
        """,
    )

    result.assert_outcomes(passed=3)


@pytest.mark.parametrize("next_test", ["", "def test_next(parse_stage): pass"])
def test_a_stage_that_died_unnoticed_fails_the_test(
    pytester: pytest.Pytester, next_test: str
) -> None:
    """Whether or not a later test brings it back."""
    result = run(
        pytester,
        f"""
        import os, signal
        import pytest

        pytestmark = pytest.mark.pipeline(servers="subprocess")

        def test_it(parse_stage):
            pid = parse_stage.pid
            os.kill(pid, signal.SIGKILL)
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

        {next_test}
        """,
    )

    result.assert_outcomes(passed=2 if next_test else 1, errors=1)
    result.stdout.fnmatch_lines(
        ["*ERROR at teardown of test_it*", "stage parse died: ended by SIGKILL"]
    )


def test_a_stage_server_that_died_unnoticed_fails_the_test(
    pytester: pytest.Pytester,
) -> None:
    """Though its fixture ends it afterwards."""
    result = run(
        pytester,
        """
        import os, signal

        def test_it(stage_server):
            pid = stage_server("parse", servers="subprocess").pid
            os.kill(pid, signal.SIGKILL)
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

        def test_next(pipeline_servers):
            pass
        """,
    )

    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["stage parse died: ended by SIGKILL"])


def test_a_stage_that_the_test_ended_does_not_fail_it(
    pytester: pytest.Pytester,
) -> None:
    """Nor does one that it stopped, paused or restarted."""
    result = run(
        pytester,
        """
        import pytest

        pytestmark = pytest.mark.pipeline(servers="subprocess")

        @pytest.mark.parametrize("how", ["kill", "stop", "pause", "restart"])
        def test_it(parse_stage, how):
            getattr(parse_stage, how)()

        def test_next(parse_stage):
            assert parse_stage.health == "SERVING"
        """,
    )

    result.assert_outcomes(passed=5)


@pytest.mark.parametrize("transport", ["unix", "tcp"])
@pytest.mark.parametrize("servers", ["inprocess", "subprocess"])
def test_the_servers_of_the_session_are_no_leaks(
    pytester: pytest.Pytester, servers: str, transport: str
) -> None:
    """Even if the body of a test starts them, calls them or restarts them."""
    result = run(
        pytester,
        """
        import pytest

        def test_start(request, pipeline_settings):
            assert request.getfixturevalue("parse_stage").health == "SERVING"

        def test_calls(parse_stage):
            stub = parse_stage.stub
            assert [list(stub.Process(iter(()))) for _ in range(3)] == [[], [], []]

        def test_run(run_pipeline):
            assert run_pipeline(replicas={}).results

        def test_own(stage_server):
            assert stage_server("rules").health == "SERVING"

        def test_restart(parse_stage):
            parse_stage.restart()
            assert parse_stage.health == "SERVING"
        """,
        f"--pipeline-servers={servers}",
        f"--pipeline-transport={transport}",
        "--pipeline-batch-sizes=10",
        "--pipeline-events=30",
    )

    result.assert_outcomes(passed=5)


def test_leaks_are_reported_under_xdist_too(pytester: pytest.Pytester) -> None:
    """Each worker has its own servers."""
    result = run(
        pytester,
        """
        import pytest
        from leave import thread

        @pytest.mark.parametrize("number", range(4))
        def test_it(parse_stage, number):
            thread()
        """,
        "-n",
        "2",
    )

    result.assert_outcomes(passed=4, errors=4)
    result.stdout.fnmatch_lines(["thread 'forgotten' still runs"])
