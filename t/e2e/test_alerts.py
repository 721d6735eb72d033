"""System Alerts: every kind begins and ends, is one row of the store's table whatever the number of children, lasts
over restarts, and is told to KinesisAlertCommand once."""
from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import subprocess
import tempfile
from pathlib import Path

import pytest

import ledger
from configs import batch, connection, defaults, location, unique
from httpd_server import Httpd, wait_until
from test_delivery import FAST_RETRIES, HOLD_SECONDS, HOLDS, bulk, names, post
from test_store import AWAY, DLQ, ONE_CHILD, SMALL_STORE, fill

CHILDREN = "ServerLimit 4\nStartServers 4\nMinSpareServers 4\nMaxRequestWorkers 4"


def rows_of(server: Httpd, query: str) -> list[dict[str, object]]:
    """From a copy of the index: whoever reads the real one as root takes part in keeping it. One that was copied in
    the middle of a change, or before there is a table, has no rows."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            for path in (server.root / "store").glob("index.db*"):
                shutil.copy(path, folder)
            with contextlib.closing(sqlite3.connect(f"{folder}/index.db")) as base:
                base.row_factory = sqlite3.Row
                return [dict(row) for row in base.execute(query)]
        except (sqlite3.DatabaseError, FileNotFoundError):
            return []


def alerts_of(server: Httpd) -> list[dict[str, object]]:
    """The rows of the table, oldest first."""
    return rows_of(server, "SELECT * FROM alerts ORDER BY id")


def wait_alert(server: Httpd, message: str, over: bool = False, timeout: float = 60) -> dict[str, object]:
    def look() -> dict[str, object] | None:
        rows = [row for row in alerts_of(server) if row["message"] == message]
        return rows[-1] if rows and bool(rows[-1]["cleared_us"]) == over else None
    return wait_until(look, f"alert {message} to be {'over' if over else 'raised'}", timeout)


def command_in(folder: Path) -> tuple[str, Path]:
    """A program that keeps each alert in a file of its own."""
    told, program = folder / "told", folder / "tell"
    told.mkdir()
    told.chmod(0o777)
    program.write_text(f"#!/bin/sh\ncat > {told}/$$.new && mv {told}/$$.new {told}/$$.json\n")
    program.chmod(0o755)
    for parent in (folder, *folder.parents):
        if parent != Path("/") and parent.stat().st_mode & 0o1 == 0:
            parent.chmod(parent.stat().st_mode | 0o11)
    return f"KinesisAlertCommand {program}\n", told


def told_in(folder: Path) -> list[dict[str, object]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


@pytest.fixture
def feed(aws, httpd):
    def make(*lines: str, service: str = "streams", more: str = "", **options: object) -> Httpd:
        stream = "events" if service == "streams" else "delivery"
        return httpd(defaults(aws.url, FAST_RETRIES) + connection("one", *lines, stream=stream, service=service)
                     + location("/v2/events", "one") + more, **options)
    return make


@pytest.mark.parametrize("trouble", HOLDS)
def test_what_holds_a_connection_is_an_alert_until_it_delivers(aws, feed, tmp_path, trouble):
    fault = HOLDS[trouble]
    if fault is None:
        aws.remove_stream("kinesis", "events")
    else:
        aws.add_fault("error", **fault)
    line, told = command_in(tmp_path)
    server = feed(more=line)
    server.expect("KF0306", "KF0307")
    posted = names(10)
    post(server, bulk(posted))
    row = wait_alert(server, "KF0306")
    code = fault["code"] if fault else "ResourceNotFoundException"
    assert (row["connection"], row["code"]) == ("one", code)
    assert row["request_id"] and row["first_us"] <= row["last_us"]
    wait_until(lambda: "KF0306" in [alert["alert"] for alert in told_in(told)], "the command to be run")
    if fault is None:
        aws.add_stream("events")
    else:
        aws.clear_faults()
    ledger.wait_ids(aws, posted, timeout=HOLD_SECONDS)
    row = wait_alert(server, "KF0306", over=True)
    [alert] = [alert for alert in told_in(told) if alert["alert"] == "KF0306"]
    assert alert["id"] == row["id"] and alert["code"] == code and alert["request_id"]
    assert {name: alert[name] for name in ("alert", "severity", "state", "connection", "title")} == {
        "alert": "KF0306", "severity": "warning", "state": "raised", "connection": "one",
        "title": "a connection is on hold"}
    assert alert["advice"] and alert["text"] and alert["host"] and alert["count"] >= 1
    assert alert["first"][:2] == "20" and alert["last"].endswith("Z")
    assert server.log().count("KF0306") == 1 and server.log().count("KF0307") == 1


def test_many_children_raise_one_alert_and_tell_it_once(aws, feed, tmp_path):
    aws.add_fault("error", code="KMSDisabledException", status=400)
    line, told = command_in(tmp_path)
    server = feed(more=line, mpm="prefork", mpm_lines=CHILDREN)
    server.expect("KF0306")
    for name in names(40):
        post(server, batch(name))
    row = wait_alert(server, "KF0306")
    wait_until(lambda: wait_alert(server, "KF0306")["count"] >= row["count"] + 2, "the alert to be met again")
    wait_until(lambda: told_in(told), "the command to be run")
    assert [row["message"] for row in alerts_of(server) if row["message"] == "KF0306"] == ["KF0306"]
    assert [alert["alert"] for alert in told_in(told)] == ["KF0306"]
    assert server.log().count("KF0306") == 1


def test_an_alert_lasts_over_reload_and_restart_and_ends_with_the_first_success(aws, feed, tmp_path):
    aws.add_fault("error", code="KMSDisabledException", status=400)
    line, told = command_in(tmp_path)
    server = feed(more=line)
    server.expect("KF0306", "KF0307")
    posted = names(5)
    post(server, bulk(posted))
    first = wait_alert(server, "KF0306")
    wait_until(lambda: wait_alert(server, "KF0306")["notified"], "the command's end to be noted")
    server.graceful()
    wait_until(lambda: wait_alert(server, "KF0306")["count"] > first["count"], "it to be met again")
    server.stop()
    [row] = [row for row in alerts_of(server) if row["message"] == "KF0306"]
    assert row["cleared_us"] == 0 and row["first_us"] == first["first_us"]
    aws.clear_faults()
    server.start()
    ledger.wait_ids(aws, posted, timeout=HOLD_SECONDS)
    row = wait_alert(server, "KF0306", over=True)
    assert row["id"] == first["id"] and row["count"] > first["count"]
    assert len(told_in(told)) == 1
    assert server.all_log().count("KF0306: connection one") == 1


def test_errors_of_aws_and_the_retry_limit(aws, feed):
    aws.add_fault("error", code="InternalFailure", status=500, match={"operation": "PutRecords"}, count=6)
    server = feed("KinesisRetryLimit 2", "KinesisLinger 500ms")
    server.expect("KF0401", "KF0305")
    posted = names(3)
    post(server, bulk(posted))
    ledger.assert_exactly(aws, posted)
    row = wait_alert(server, "KF0305", over=True)
    assert row["count"] == 3 and row["code"] == "InternalFailure"
    assert [row["code"] for row in alerts_of(server) if row["message"] == "KF0401"] == ["InternalFailure"]
    assert "500 - Internal Server Error" in server.log() and "Retry Limit Exceeded" in server.log()


def test_throttling(aws, feed):
    aws.add_fault("throttle", match={"operation": "PutRecords"}, count=2)
    server = feed()
    server.expect("KF0406")
    posted = names(3)
    post(server, bulk(posted))
    ledger.assert_exactly(aws, posted)
    assert wait_alert(server, "KF0406")["code"] == "ProvisionedThroughputExceededException"


def test_a_clock_that_is_off(aws, feed):
    aws.add_fault("skew", seconds=3600)
    server = feed()
    server.expect("KF0404")
    post(server, batch())
    wait_alert(server, "KF0404")
    aws.clear_faults()
    post(server, batch())
    wait_alert(server, "KF0404", over=True)


def test_batch_calls_that_are_denied(aws, feed):
    aws.add_fault("error", code="AccessDeniedException", status=400, match={"operation": "PutRecords"})
    server = feed()
    server.expect("KF0402")
    name = unique()
    post(server, batch(name))
    ledger.wait_ids(aws, [name])
    assert wait_alert(server, "KF0402")["code"] == "AccessDeniedException"


def test_a_firehose_stream_that_cannot_be_checked(aws, feed):
    aws.add_fault("error", code="AccessDeniedException", status=400, match={"operation": "DescribeDeliveryStream"})
    server = feed(service="firehose")
    server.expect("KF0403")
    wait_alert(server, "KF0403")


def test_aws_away_and_back(aws, feed):
    aws.stop_accepting(drop=True)
    server = feed(mpm_lines=ONE_CHILD)
    server.expect("KF0405")
    server.allow(*AWAY)
    name = unique()
    post(server, batch(name))
    wait_alert(server, "KF0405")
    aws.resume_accepting()
    ledger.wait_ids(aws, [name])
    # The next child's first success tells that it is over, though the one that raised it is gone.
    server.restart()
    ledger.wait_ids(aws, [name])
    post(server, batch())
    wait_alert(server, "KF0405", over=True)


def test_a_dead_letter_is_an_alert_until_it_is_dealt_with(aws, feed):
    aws.add_fault("poison", contains="poisoned", index=True, code="ValidationException")
    server = feed("KinesisLinger 500ms")
    server.expect("KF0304")
    bad = b",".join(batch(unique(), x="poisoned") for _ in range(3))
    post(server, b"[" + bad + b"," + bulk(names(20))[1:])
    wait_until(lambda: wait_alert(server, "KF0304")["count"] == 3, "three dead letters to be counted")
    assert server.log().count("KF0304") == 1
    subprocess.run([DLQ, "--store", server.root / "store", "discard", "--all", "--yes"], check=True, capture_output=True)
    wait_alert(server, "KF0304", over=True)


def test_a_full_store(aws, httpd):
    aws.stop_accepting(drop=True)
    server = httpd(defaults(aws.url, FAST_RETRIES) + connection("one") + location("/v2/events", "one")
                   + SMALL_STORE + "\n", mpm_lines=ONE_CHILD)
    server.expect("KF0202")
    server.allow(*AWAY)
    accepted, _ = fill(server)
    assert wait_alert(server, "KF0202")["connection"] == "one"
    aws.resume_accepting()
    ledger.wait_ids(aws, accepted)
    wait_alert(server, "KF0202", over=True)


def test_a_configuration_fault_at_a_restart_is_an_alert_until_it_is_put_right(aws, feed, tmp_path):
    line, told = command_in(tmp_path)
    server = feed(more=line)
    program = tmp_path / "tell"
    server.expect("KF0103")
    program.chmod(0o600)
    server.graceful()
    server.wait_log("KF0103")
    row = wait_alert(server, "KF0103")
    assert row["connection"] == "" and str(program) in row["text"]
    server.expect("KF0521")
    server.wait_log("KF0521")


def test_the_command_must_be_there_and_executable(aws, feed, tmp_path):
    program = tmp_path / "tell"
    server = feed()
    program.write_text("#!/bin/sh\n")
    for path in (tmp_path / "missing", program, tmp_path):
        server.configure(defaults(aws.url) + f"KinesisAlertCommand {path}\n")
        result = server.configtest()
        assert result.returncode != 0
        assert f'KF0104: KinesisAlertCommand "{path}": cannot be run' in result.stdout + (result.stderr or "")
