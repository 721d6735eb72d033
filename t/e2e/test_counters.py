"""The server's numbers against what the load generator posted and what the stand-in for AWS took and answered."""
from __future__ import annotations

import json
from typing import Any

import pytest

import ledger
import loadgen
from configs import batch, connection, defaults, location, section
from httpd_server import MPMS, Httpd, wait_until
from kills import Killer, fates
from test_kill import ENDS_BY_SIGNAL, LATE, load_on, wait_some

every_mpm = pytest.mark.parametrize("mpm", MPMS)

STATUS = section("Location", '"/kinesis-status"', ["SetHandler kinesis-forward-status", "Require local"])
THREADS = "ServerLimit 4\nStartServers 2\nThreadsPerChild 32\nMaxRequestWorkers 64\nMaxSpareThreads 64\n"
PROCESSES = "ServerLimit 32\nStartServers 16\nMaxRequestWorkers 32\nMaxSpareServers 32\n"
ONE = connection("one", "KinesisRecordFormat received", "KinesisBatchWindow 0")


def numbers(server: Httpd, name: str = "one") -> dict[str, Any]:
    answer = server.request("GET", "/kinesis-status?format=json")
    assert answer.status == 200, answer
    return next(c for c in json.loads(answer.body)["connections"] if c["name"] == name)


def counters(server: Httpd, name: str = "one") -> dict[str, Any]:
    return numbers(server, name)["counters"]


def taken(aws, stream: str = "events") -> dict[str, int]:
    return next(row for row in aws.summary()["streams"] if row["stream"] == stream)


def settled(server: Httpd) -> dict[str, Any]:
    """The numbers once nothing waits: the last answers are counted."""
    def idle() -> dict[str, Any] | None:
        now = numbers(server)
        return now if now["gauges"]["backlog_records"] == 0 and now["gauges"]["state"] == "idle" else None
    return wait_until(idle, "nothing to wait in the backlog")


def serve(httpd, aws, mpm: str) -> Httpd:
    server = httpd(defaults(aws.url, "KinesisRetryBackoff 50ms 200ms") + ONE + location("/v2/events", "one") + STATUS,
                   mpm=mpm, mpm_lines=PROCESSES if mpm == "prefork" else THREADS)
    server.allow("KF0401", "KF0405", "KF0406", *ENDS_BY_SIGNAL)
    return server


def assert_accepted(counted: dict[str, Any], outcome: loadgen.Outcome) -> None:
    """What was answered 202 was counted before it was; of what was not answered nobody knows."""
    answered = outcome.statuses[202]
    assert answered <= counted["accepted_records"] <= answered + len(outcome.unanswered)
    assert counted["received_batches"] <= counted["accepted_records"]
    assert counted["received_batches"] >= answered


@every_mpm
def test_counters_equal_the_ledger_over_graceful_restarts_and_faults(httpd, aws, mpm):
    server = serve(httpd, aws, mpm)
    with load_on(server) as load:
        for fault in ({"type": "throttle"}, {"type": "fail_records", "fraction": 0.3},
                      {"type": "error", "code": "InternalFailure", "status": 500},
                      {"type": "reset", "when": "after_record"}):
            wait_some(aws)
            aws.add_fault(fault["type"], match={"operation": "PutRecords"}, count=5,
                          **{key: value for key, value in fault.items() if key != "type"})
            wait_some(aws)
            server.graceful()
        wait_some(aws)
    ledger.balance(aws, load.outcome)
    now = settled(server)
    counted, seen = now["counters"], taken(aws)
    assert_accepted(counted, load.outcome)
    # Every accepted record has one answer that took it; those of the calls whose answer was lost were sent again.
    assert counted["delivered_records"] == seen["delivered"]
    assert counted["delivered_records"] == counted["accepted_records"]
    assert counted["delivered_bytes"] == counted["accepted_bytes"]
    assert seen["lost"] > 0
    # curl itself repeats a call whose connection, used before, is reset ahead of any answer: to us that is one call. One
    # that a child gave up at its end, when AWS was too slow, is none; one that found no connection never came.
    unheard = len(aws.calls("PutRecords")) - sum(counted["calls"].values())
    lost = sum(call["answer"] == "lost" for call in aws.calls("PutRecords"))
    assert counted["calls"]["network"] + unheard >= lost >= 5
    assert counted["calls"]["throttled"] == counted["calls"]["server"] == 5
    assert counted["calls"]["partial"] + counted["calls"]["none"] <= 5
    assert counted["unavailable_requests"]["full"] == load.outcome.statuses[503] == 0
    assert now["histograms"]["delivery_seconds"]["count"] == counted["delivered_records"]
    assert now["histograms"]["call_seconds"]["count"] == sum(counted["calls"].values())
    assert now["histograms"]["answer_seconds"]["count"] >= load.outcome.statuses[202]
    assert now["last_error"] is not None


@every_mpm
def test_counters_explain_every_difference_when_children_are_killed(httpd, aws, mpm):
    server = serve(httpd, aws, mpm)
    # Of the bytes by which httpd tells its children to end one may be missing for a child that replaced another.
    server.allow(*LATE)
    killer = Killer(aws, server)
    with load_on(server) as load:
        for _ in range(4):
            wait_some(aws)
            wait_until(server.children, "children")
            killer.child()
        server.graceful()
        wait_some(aws)
    ledger.balance(aws, load.outcome, kills=killer.kills)
    counted, seen = settled(server)["counters"], taken(aws)
    assert_accepted(counted, load.outcome)
    # A record counts before it is marked as done, so none is missing; one that was counted and not marked, or whose
    # answer no child lived to read, was sent again.
    unread = fates(aws, "events", killer.kills).most()[1]
    assert seen["distinct"] <= counted["delivered_records"] <= seen["delivered"]
    assert seen["delivered"] - counted["delivered_records"] <= unread
    assert counted["lost_records"] == 0


def test_counters_go_on_under_their_names(httpd, aws):
    server = serve(httpd, aws, "event")
    other = connection("other", "KinesisRecordFormat received", "KinesisBatchWindow 0")
    base = defaults(aws.url)
    assert server.post("/v2/events", batch()).status == 202
    wait_until(lambda: counters(server)["delivered_records"] == 1, "the first")
    for config, wanted in ((base + other + ONE + location("/v2/events", "one", "other") + STATUS, {"one": 2, "other": 1}),
                           (base + other + location("/v2/events", "other") + STATUS, {"other": 2}),
                           (base + ONE + other + location("/v2/events", "one") + STATUS, {"one": 3, "other": 2})):
        server.configure(config)
        server.graceful()
        assert server.post("/v2/events", batch()).status == 202
        for name, count in wanted.items():
            wait_until(lambda: counters(server, name)["delivered_records"] == count, f"{name} to have {count}")


def test_what_is_not_taken_counts_by_its_reason(httpd, aws):
    server = httpd(defaults(aws.url, "KinesisBatchWindow 0") + ONE
                   + connection("quiet", "KinesisSendCustomEvents Off", "KinesisSendAnonymousUsers Off")
                   + location("/v2/events", "one", lines=("KinesisMaxBodySize 2000",))
                   + location("/discard", "one", lines=("KinesisMaxBodySize 2000", "KinesisInvalidBatch discard"))
                   + location("/quiet", "quiet") + STATUS)
    for path in ("/v2/events", "/discard"):
        server.post(path, b"{")
        server.post(path, b"[]")
        server.post(path, b"x" * 3000)
        server.post(path, batch(), {"Content-Type": "text/xml"})
    event = {"event_type": "custom_event", "data": {}}
    known = {"customer_id": "someone"}
    assert server.post("/quiet", batch(events=[event, event], user_identities=known)).status == 202
    assert server.post("/quiet", batch(events=[event])).status == 202
    assert server.post("/quiet", batch(events=[], user_identities=known)).status == 202
    one, quiet = counters(server), counters(server, "quiet")
    for family in ("rejected_requests", "discarded_requests"):
        assert one[family] == {"400": 2, "413": 1, "415": 1}
    assert one["received_batches"] == one["accepted_records"] == 0
    assert quiet["received_batches"] == 3 and quiet["received_events"] == 3
    assert quiet["filtered_events"]["custom_event"] == sum(quiet["filtered_events"].values()) == 2
    assert quiet["filtered_batches"]["anonymous"] == 1
    assert quiet["filtered_batches"]["emptied"] == 1
    assert quiet["accepted_records"] == 1
    wait_until(lambda: counters(server, "quiet")["delivered_records"] == 1, "the one that nothing was wrong with")
