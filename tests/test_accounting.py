"""The account of a run: conservation, rejections in order, times summed."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from pipeline.accounting import BatchSizes, Progress, RunAccount, RunReport
from pipeline.errors import ConservationError
from pipeline.rejects import RejectsFile
from pipeline.v1.pipeline_pb2 import Rejection, Timing

STAGES = ("ingest", "parse", "rules", "aggregate", "sink")


def report_of(account: RunAccount, *, one_process: bool = False) -> RunReport:
    """Close an account with made-up totals: 2 s elapsed, 1 s CPU of the driver."""
    return account.report(
        workload="events",
        engine="split",
        batch_size=10,
        elapsed_s=2.0,
        startup_s=0.5,
        cpu_s=1.0,
        one_process=one_process,
    )


def test_a_run_that_accounts_for_every_record_is_conserved() -> None:
    """Ingested = rejected + filtered + passed raises nothing."""
    account = RunAccount(STAGES)
    account.ingest(10)
    account.settle(6, 3, [("parse", Rejection(record=4, reason="x"))])

    account.check_conservation()

    records = report_of(account).records
    assert (records.ingested, records.rejected) == (10, 1)
    assert (records.filtered, records.passed) == (3, 6)


@pytest.mark.parametrize("passed", [5, 7])
def test_a_lost_or_doubled_record_fails_the_run(passed: int) -> None:
    """The message has all the counts."""
    account = RunAccount(STAGES)
    account.ingest(10)
    account.settle(passed, 3, [("parse", Rejection(record=4, reason="x"))])

    with pytest.raises(
        ConservationError, match=f"10 records .* 1 rejected .* 3 filtered .* {passed} p"
    ):
        account.check_conservation()


def test_rejections_are_counted_by_reason_and_written_by_record_number(
    tmp_path: Path,
) -> None:
    """Whichever stage refused a record, the file is sorted; a field is named if any."""
    path = tmp_path / "rejects.ndjson"
    with RejectsFile(path) as rejects:
        account = RunAccount(STAGES, rejects)
        account.settle(
            0,
            0,
            [
                ("rules", Rejection(record=2, reason="late")),
                ("parse", Rejection(record=1, reason="wrong_type", field="user")),
                ("parse", Rejection(record=3, reason="late")),
            ],
        )
        rejects.prepare()
        rejects.publish()

    assert report_of(account).rejections == {"late": 2, "wrong_type": 1}
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"record": 1, "stage": "parse", "reason": "wrong_type", "field": "user"},
        {"record": 2, "stage": "rules", "reason": "late"},
        {"record": 3, "stage": "parse", "reason": "late"},
    ]


def test_the_time_of_a_stage_is_the_sum_over_its_batches() -> None:
    """Each phase keeps to itself, wall and CPU apart; memory is the highest seen."""
    account = RunAccount(STAGES)
    for scale in (1, 2):
        account.stages["parse"].spend(
            Timing(
                wait_ns=1_000_000_000 * scale,
                decode_ns=2_000_000_000 * scale,
                process_ns=3_000_000_000 * scale,
                encode_ns=4_000_000_000 * scale,
                send_ns=5_000_000_000 * scale,
                process_cpu_ns=500_000_000 * scale,
                process_total_cpu_ns=1_000_000_000 * scale,
                peak_rss_bytes=100 * scale,
            )
        )

    parse = report_of(account).stages["parse"]

    seconds = parse.seconds
    assert (seconds.wait, seconds.decode, seconds.process) == (3, 6, 9)
    assert (seconds.encode, seconds.send) == (12, 15)
    assert parse.cpu_seconds.process == 1.5
    assert (parse.cpu_s, parse.peak_rss_bytes) == (3, 200)


def test_the_ipc_share_is_what_is_not_processing_of_all_cpu() -> None:
    """Waiting counts for nothing: 1 − processing CPU / CPU of all processes."""
    account = RunAccount(STAGES)
    account.stages["parse"].spend(
        Timing(
            wait_ns=60_000_000_000,
            process_cpu_ns=1_000_000_000,
            process_total_cpu_ns=3_000_000_000,
        )
    )

    assert report_of(account).ipc_share == 1 - 1 / (3 + 1)
    assert report_of(account, one_process=True).ipc_share == 0


def test_stream_writes_are_those_to_the_transform_stages() -> None:
    """What goes to the sink, and what comes back, are not counted."""
    account = RunAccount(STAGES)
    for name in ("parse", "rules", "aggregate", "sink"):
        account.stages[name].message_in(100)
        account.stages[name].message_out(50)

    report = report_of(account)

    assert report.stream_writes == 3
    assert report.stages["parse"].bytes_in == 100
    assert report.stages["parse"].bytes_out == 50


def test_the_report_is_json_with_the_documented_keys() -> None:
    """Whoever reads it finds counts, times and stages under their names."""
    report = json.loads(report_of(RunAccount(STAGES)).to_json())

    assert set(report) >= {
        "engine",
        "batch_size",
        "records",
        "rejections",
        "elapsed_s",
        "throughput_per_s",
        "ipc_share",
        "stages",
    }
    assert set(report["records"]) == {"ingested", "rejected", "filtered", "passed"}
    assert list(report["stages"]) == list(STAGES)
    assert set(report["stages"]["parse"]) >= {
        "messages_in",
        "messages_out",
        "bytes_in",
        "bytes_out",
        "cpu_s",
        "peak_rss_bytes",
    }
    assert set(report["stages"]["parse"]["seconds"]) == {
        "wait",
        "decode",
        "process",
        "encode",
        "send",
    }


def test_the_typical_size_of_chosen_batches_is_their_mean() -> None:
    """Of a fixed size, it is that size."""
    account = RunAccount(STAGES)
    for records in (1, 16, 200):
        account.ingest(records)
        account.settle(records, 0, [])
    fixed = report_of(account)
    chosen = msgspec.structs.replace(fixed, batch_size="auto")

    assert fixed.typical_batch_size == 10
    assert chosen.typical_batch_size == 72
    assert chosen.batch_sizes == BatchSizes(smallest=1, mean=217 / 3, largest=200)


def test_a_resumed_run_counts_its_records_and_times_its_own_part() -> None:
    """The report has all records, and the speed and sizes of this attempt."""
    first = RunAccount(STAGES)
    for records in (10, 50):
        first.ingest(records)
    first.settle(6, 3, [("parse", Rejection(record=4, reason="x"))])
    second = RunAccount(STAGES)

    second.restore(first.progress)
    second.ingest(20)
    second.ingest(40)
    for records in (20, 40):
        second.settle(records, 0, [])

    second.check_conservation()
    assert second.progress == Progress(3, filtered=3, passed=66, rejections={"x": 1})
    report = report_of(second)
    assert (report.records.ingested, report.resumed_records) == (70, 10)
    assert (report.batches, report.rejections) == (3, {"x": 1})
    assert report.throughput_per_s == 30
    assert report.batch_sizes == BatchSizes(smallest=20, mean=30.0, largest=40)
