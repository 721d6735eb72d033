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
import status_page
from configs import batch, connection, defaults, location, unique
from httpd_server import SECRET, Httpd, wait_until, write_private
from test_delivery import FAST_RETRIES, HOLD_SECONDS, HOLDS, bulk, names, post
from test_store import AWAY, DLQ, KILLED, ONE_CHILD, SMALL_STORE, fill
from windows_index import Index

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


def shown(server: Httpd, message: str) -> dict[str, object]:
    """The latest alert of this message in the status page's JSON."""
    found = [alert for alert in status_page.data(server)["alerts"]["list"] if alert["id"] == message]
    assert found, f"no alert {message}"
    return max(found, key=lambda alert: alert["first_time"])


def wait_shown(server: Httpd, message: str, active: bool) -> dict[str, object]:
    """Waits until the status page shows the alert as raised, or as over, and the table of the store has it so."""
    wait_alert(server, message, over=not active)
    return wait_until(lambda: (alert := shown(server, message))["active"] == active and alert, f"{message} to be shown")


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
                     + location("/v2/events", "one") + status_page.STATUS + more, **options)
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
    wait_shown(server, "KF0305", active=False)
    assert "500 - Internal Server Error" in server.log() and "Retry Limit Exceeded" in server.log()


PASSING = {"KF0401": ("error", {"code": "InternalFailure", "status": 500}, "InternalFailure"),
           "KF0406": ("throttle", {}, "ProvisionedThroughputExceededException")}


@pytest.mark.parametrize("alert", PASSING)
def test_errors_that_pass_are_over_with_the_first_child_that_delivers(aws, feed, alert):
    """In the child that met it, it is over after a quiet while: unit tests have that."""
    kind, fault, code = PASSING[alert]
    aws.add_fault(kind, match={"operation": "PutRecords"}, id="passing", **fault)
    server = feed(mpm_lines=ONE_CHILD)
    server.expect(alert)
    server.allow("KF0305")
    posted = names(3)
    post(server, bulk(posted))
    assert wait_shown(server, alert, active=True)["code"] == code
    aws.remove_fault("passing")
    server.graceful()
    ledger.wait_ids(aws, posted)
    post(server, batch())
    assert wait_shown(server, alert, active=False)["code"] == code


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
    assert wait_shown(server, "KF0402", active=True)["code"] == "AccessDeniedException"
    # Another child finds the same: it is the same alert.
    server.graceful()
    name = unique()
    post(server, batch(name))
    ledger.wait_ids(aws, [name])
    assert wait_shown(server, "KF0402", active=True)["count"] == 2
    aws.clear_faults()
    server.graceful()
    post(server, batch())
    wait_shown(server, "KF0402", active=False)


def test_a_firehose_stream_that_cannot_be_checked(aws, feed):
    aws.add_fault("error", code="AccessDeniedException", status=400, match={"operation": "DescribeDeliveryStream"})
    server = feed(service="firehose")
    server.expect("KF0403")
    wait_shown(server, "KF0403", active=True)
    aws.clear_faults()
    server.graceful()
    wait_shown(server, "KF0403", active=False)


def test_a_check_is_over_where_the_connection_goes_to_kinesis_now(aws, feed):
    aws.add_fault("error", code="AccessDeniedException", status=400, match={"operation": "DescribeDeliveryStream"})
    server = feed(service="firehose")
    server.expect("KF0403")
    wait_shown(server, "KF0403", active=True)
    server.configure(defaults(aws.url, FAST_RETRIES) + connection("one") + location("/v2/events", "one")
                     + status_page.STATUS)
    server.graceful()
    wait_shown(server, "KF0403", active=False)


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


def test_dead_letters_that_fill_a_quarter_of_the_store(aws, feed):
    aws.add_fault("poison", contains="poisoned", index=True, code="ValidationException")
    server = feed("KinesisLinger 500ms", more=SMALL_STORE + "\n")
    server.expect("KF0304", "KF0656")
    server.allow("KF0305")
    for _ in range(6):
        bad = b",".join(batch(unique(), note="poisoned", padding="x" * 60_000) for _ in range(15))
        post(server, b"[" + bad + b"," + bulk(names(5))[1:])
    alert = wait_shown(server, "KF0656", active=True)
    assert alert["connection"] == "" and server.log().count("KF0656") == 1
    assert wait_shown(server, "KF0304", active=True)["connection"] == "one"
    subprocess.run([DLQ, "--store", server.root / "store", "discard", "--all", "--yes"], check=True, capture_output=True)
    wait_shown(server, "KF0656", active=False)
    wait_shown(server, "KF0304", active=False)


def test_windows_that_fill_half_of_their_share(aws, httpd):
    """Nobody is turned away for it: neither when the oldest leave, nor when all leave at once."""
    server = httpd(defaults(aws.url) + connection("one", "KinesisBatchWindow 600s") + location("/v2/events", "one")
                   + status_page.STATUS + SMALL_STORE + "\n", mpm_lines=ONE_CHILD)
    server.expect("KF0653")
    posted = names(200)
    for name in posted:
        post(server, batch(name, mp_deviceid=name, padding="x" * 50_000))
    alert = wait_shown(server, "KF0653", active=True)
    assert alert["connection"] == "one" and "bytes in open windows" in alert["message"]
    index = Index(server)
    wait_until(lambda: 0 < len(ledger.ids(aws)) and index.uploads() + len(ledger.ids(aws)) >= len(posted),
               "all but the oldest in windows")
    index.pass_time(700)
    ledger.assert_exactly(aws, posted)
    wait_shown(server, "KF0653", active=False)
    [one] = status_page.data(server)["connections"]
    assert not any(one["counters"]["unavailable_requests"].values()), one["counters"]["unavailable_requests"]


def test_credentials_that_cannot_be_had(aws, httpd):
    """The folder's file comes later: nobody restarts anything."""
    server = httpd(f"KinesisEndpoint {aws.url}\nKinesisBatchWindow 0\nKinesisCredentialsFile @ROOT@/keys\n"
                   + connection("one") + location("/v2/events", "one") + status_page.STATUS, start=False)
    server.expect("KF0408")
    server.allow("KF0306")
    keys = write_private(server.root / "keys", "[default]\n")
    server.start()
    name = unique()
    post(server, batch(name))
    assert wait_shown(server, "KF0408", active=True)["connection"] == "one"
    keys.write_text(f"[default]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = {SECRET}\n")
    ledger.wait_ids(aws, [name], timeout=120)
    wait_shown(server, "KF0408", active=False)


def test_an_event_is_over_at_once(aws, feed):
    server = feed(more=location("/nowhere"))
    server.expect("KF0101")
    for _ in range(3):
        assert server.post("/nowhere", batch()).status == 500
    alert = wait_shown(server, "KF0101", active=False)
    assert wait_until(lambda: shown(server, "KF0101")["count"] == 3, "three of them") and alert["level"] == "error"
    assert status_page.data(server)["state"] == "healthy"


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


def test_a_store_that_cannot_be_used_is_an_alert_until_it_can(aws, httpd):
    config = status_page.config(aws.url)
    server = httpd(config)
    head = server.config_file.read_text()
    spoilt = head.replace('/store"', '/htdocs/none/store"')
    assert spoilt != head
    server.allow("KF0502", "KF0505")
    server.config_file.write_text(spoilt)
    server.graceful()
    wait_until(lambda: server.post("/v2/events", batch()).status == 503, "the location to answer 503")
    assert shown(server, "KF0505")["active"] and shown(server, "KF0502")["active"]
    server.config_file.write_text(head)
    server.graceful()
    wait_until(lambda: server.post("/v2/events", batch()).status == 202, "the location to answer 202 again")
    wait_until(lambda: not any(alert["active"] for alert in status_page.data(server)["alerts"]["list"]),
               "no alert to be raised")


# What ends because nobody meets it again takes a minute

@pytest.mark.soak
def test_what_is_not_met_again_after_a_restart_is_over_within_two_minutes(aws, httpd):
    """Records of a connection that is configured again (KF0605), a program that can be run again (KF0103)."""
    one = defaults(aws.url, FAST_RETRIES) + connection("one") + location("/one", "one") + status_page.STATUS
    two = connection("two", stream="second") + location("/two", "two")
    aws.add_stream("second")
    server = httpd(one + two, mpm_lines=ONE_CHILD)
    program = server.root / "tell"
    program.write_text("#!/bin/sh\ncat > /dev/null\n")
    program.chmod(0o755)
    command = f"KinesisAlertCommand {program}\n"
    server.allow(*AWAY, *KILLED, "KF0521")
    aws.stop_accepting(drop=True)
    waiting = names(10)
    post(server, bulk(waiting), "/two")
    server.kill()
    aws.resume_accepting()
    server.configure(one + command)
    server.expect("KF0103", "KF0605")
    server.start()
    assert '"two"' in wait_shown(server, "KF0605", active=True)["message"]
    program.chmod(0o600)
    server.graceful()
    wait_shown(server, "KF0103", active=True)
    assert not ledger.ids(aws, "second")
    program.chmod(0o755)
    server.configure(one + two + command)
    server.graceful()
    ledger.assert_exactly(aws, waiting, "second")
    for message in ("KF0605", "KF0103"):
        wait_alert(server, message, over=True, timeout=120)
        assert not shown(server, message)["active"]
        assert "KF0523" in server.log()
    server.stop()
