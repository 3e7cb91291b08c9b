"""What the demo concludes from its rounds, and what it says of the time left."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from pipeline.accounting import Records, RunReport, Seconds, StageReport
from pipeline.cli.demo_output import PolyglotTable, WorkTable
from pipeline.cli.progress import Schedule


def report(throughput_per_s: float) -> RunReport:
    """Return the report of a run at that speed."""
    return RunReport(
        workload="work-items",
        engine="split",
        batch_size=1,
        batches=40,
        records=Records(40, 0, 0, 40),
        rejections={},
        elapsed_s=40 / throughput_per_s,
        throughput_per_s=throughput_per_s,
        startup_s=0,
        stream_writes=120,
        ipc_share=0.1,
        cpu_s=1,
        peak_rss_bytes=0,
        stages={
            "parse": StageReport(
                replicas=1,
                messages_in=40,
                messages_out=40,
                bytes_in=0,
                bytes_out=0,
                seconds=Seconds(0, 0, 0, 0, 0),
                cpu_seconds=Seconds(0, 0, 0, 0, 0),
                cpu_s=40 * 3e-6,
                peak_rss_bytes=7 * 2**20,
            )
        },
    )


@pytest.mark.parametrize(
    ("speeds", "finding"),
    [
        ([101, 150, 150, 150, 150, 150], "faster"),
        ([99, 60, 60, 60, 60, 60], "slower"),
        ([97, 100, 102, 99, 101, 103], "the same within 10 %"),
        ([80, 100, 130, 99, 101, 103], "not known"),
    ],
)
def test_a_comparison_says_what_its_interval_shows(
    speeds: list[float], finding: str
) -> None:
    """The interval reaches from the lowest ratio of the six rounds to the highest."""
    output = io.StringIO()
    table = WorkTable([(1, 1), (10, 1)], Console(file=output, width=100))

    for speed in speeds:
        table.add([report(100), report(speed)], Schedule(1.0))
    table.compare()

    last = output.getvalue().splitlines()[-1]
    assert last.endswith(finding)
    assert f"{min(speeds) / 100:.2f} to {max(speeds) / 100:.2f}" in last
    assert "97% interval" in output.getvalue()


def test_languages_are_compared_with_the_first_within_each_round() -> None:
    """A round in which the machine was slower changes no ratio."""
    output = io.StringIO()
    table = PolyglotTable(["python", "go"], Console(file=output, width=100))

    table.add([[report(100), report(150)], [report(50), report(80)]])

    _, python, go = output.getvalue().splitlines()
    assert python.split() == ["1", "python", "75", "1.00", "3.0", "7"]
    assert go.split() == ["1", "go", "115", "1.55", "1.50", "to", "1.60", "3.0", "7"]


def test_a_schedule_tells_the_time_left_by_the_pace_so_far() -> None:
    """A machine of half the speed doubles what is left."""
    now = [0.0]
    schedule = Schedule(30.0, clock=lambda: now[0])
    assert str(schedule) == "0 s elapsed, about 30 s left"

    now[0] = 20.0
    schedule.advance(10.0)
    assert str(schedule) == "20 s elapsed, about 40 s left"

    schedule.advance(20.0)
    assert schedule.left_s == 0
