"""Windows from posting to forwarding: sessions in and out of order, over several children, restarts and kills."""
from __future__ import annotations

import http.client
import json
import os
import signal
from typing import Callable

import pytest

import ledger
from configs import batch, connection, defaults, location, sample, unique
from httpd_server import Httpd, wait_until
from standin import StandIn

SESSION = ["session-part-1-start", "session-part-2-middle-uuid-only", "session-part-3-id-only-then-login",
           "session-part-4-end", "session-part-5-straggler-after-end"]
VISITOR, CUSTOMER = 7346244611012968789, -3171239846550123907
TYPES = {VISITOR: ["session_start", "screen_view", "custom_event", "custom_event", "network_performance"],
         CUSTOMER: ["custom_event", "session_end"]}
SEVERAL_CHILDREN = "ServerLimit 4\nStartServers 4\nThreadsPerChild 4\nMaxRequestWorkers 16\nMinSpareThreads 16\n" \
                   "MaxSpareThreads 16"


@pytest.fixture
def feed(aws, httpd) -> Callable[..., Httpd]:
    def make(*lines: str, **options: object) -> Httpd:
        return httpd(defaults(aws.url) + connection("one", *lines) + location("/v2/events", "one"), **options)
    return make


def post(server: Httpd, body: bytes) -> None:
    assert server.post("/v2/events", body).status == 202


def arrived(aws: StandIn) -> list[dict]:
    return [json.loads(data) for data in ledger.data(aws)]


def wait_records(aws: StandIn, count: int) -> list[dict]:
    wait_until(lambda: len(ledger.data(aws)) >= count, f"{count} records")
    return arrived(aws)


def types(record: dict) -> list[str]:
    return [event["event_type"] for event in record["events"]]


def names(records: list[dict]) -> list[str]:
    return sorted(event["data"]["event_name"] for record in records for event in record["events"])


def upload(device: str, name: str) -> bytes:
    event = {"event_type": "custom_event", "data": {"event_name": name, "custom_event_type": "other",
                                                    "timestamp_unixtime_ms": 1700000000000}}
    return batch(events=[event], mp_deviceid=device)


def assert_session(aws: StandIn, server: Httpd) -> None:
    wait_records(aws, 2)
    server.stop()
    records = arrived(aws)
    assert {record["mpid"]: types(record) for record in records} == TYPES
    assert len(records) == 2
    assert len({record["message_id"] for record in records}) == 2


@pytest.mark.parametrize("mpm", ["event", "prefork"])
@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [3, 1, 0, 4, 2], [4, 3, 2, 1, 0]])
def test_a_session_leaves_once_a_user(aws, feed, order, mpm):
    server = feed("KinesisWaitForCompleteBatch On", "KinesisSessionGrace 1s", mpm=mpm)
    for part in order:
        post(server, sample(SESSION[part]))
    assert_session(aws, server)


def test_a_repeated_upload_counts_once(aws, feed):
    server = feed("KinesisWaitForCompleteBatch On", "KinesisSessionGrace 1s")
    for part in [*SESSION[:2], "session-part-2-duplicate-upload", *SESSION[2:]]:
        post(server, sample(part))
    assert_session(aws, server)


def test_two_sessions_in_one_upload(aws, feed):
    server = feed("KinesisWaitForCompleteBatch On", "KinesisSessionGrace 0", "KinesisSessionTimeout 2s")
    post(server, sample("two-sessions-one-batch"))
    assert [types(record) for record in wait_records(aws, 2)] == [
        ["custom_event", "session_end"], ["session_start", "application_state_transition", "screen_view"]]


def test_the_newest_upload_wins_whatever_child_took_it(aws, feed):
    server = feed("KinesisBatchWindow 3s", mpm_lines=SEVERAL_CHILDREN)
    devices = [unique("device") for _ in range(20)]
    for device in devices:
        for number in range(4):
            event = {"event_type": "custom_event", "data": {"event_name": str(number)}}
            post(server, batch(events=[event], mp_deviceid=device, user_attributes={"number": number}))
    wait_until(lambda: len(names(arrived(aws))) == 80, "all events")
    assert len(arrived(aws)) == 20, "the uploads took longer than a window"
    for record in arrived(aws):
        assert [event["data"]["event_name"] for event in record["events"]] == ["0", "1", "2", "3"]
        assert record["user_attributes"] == {"number": 3}


def test_children_share_windows(aws, feed):
    server = feed("KinesisBatchWindow 2s", mpm_lines=SEVERAL_CHILDREN)
    devices = [unique("device") for _ in range(5)]
    wanted = [unique("event") for _ in range(100)]
    for number, name in enumerate(wanted):
        post(server, upload(devices[number % 5], name))
    wait_until(lambda: names(arrived(aws)) == sorted(wanted), "all events")
    server.stop()
    records = arrived(aws)
    assert names(records) == sorted(wanted)
    assert len(records) < len(wanted) / 2
    assert all(len({record["mp_deviceid"]}) == 1 for record in records)


def test_windows_survive_a_stop(aws, feed):
    server = feed("KinesisBatchWindow 5s")
    device = unique("device")
    post(server, upload(device, "before"))
    server.stop()
    server.start()
    post(server, upload(device, "after"))
    wait_until(lambda: names(arrived(aws)) == ["after", "before"], "both events")


def test_windows_close_when_they_are_switched_off(aws, feed):
    server = feed("KinesisBatchWindow 600s")
    post(server, upload("device", "before"))
    server.configure(defaults(aws.url) + connection("one") + location("/v2/events", "one"))
    server.graceful()
    assert names(wait_records(aws, 1)) == ["before"]


def is_taken(server: Httpd, body: bytes) -> bool:
    try:
        return server.post("/v2/events", body).status == 202
    except (OSError, http.client.HTTPException):
        return False


def test_killed_children_lose_nothing(aws, feed):
    server = feed("KinesisBatchWindow 2s", mpm_lines=SEVERAL_CHILDREN)
    server.allow("AH00052", "AH10392")
    wanted = [unique("event") for _ in range(60)]
    for number, name in enumerate(wanted):
        body = upload(f"device-{number % 6}", name)
        if number % 15 == 7:
            old = server.children()
            os.kill(old[0], signal.SIGKILL)
            wait_until(lambda: old[0] not in server.children(), "the end of a child")
        wait_until(lambda: is_taken(server, body), "a 202")
    wait_until(lambda: set(names(arrived(aws))) == set(wanted), "all events")
    server.stop()
    records = {record["message_id"]: record for record in arrived(aws)}
    assert names(list(records.values())) == sorted(wanted)
