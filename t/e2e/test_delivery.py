"""How records reach AWS when it throttles, fails, hangs up, lies or is gone; and what senders notice of it."""
from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from typing import Iterator

import pytest

import configs
import ledger
from client import Answer
from configs import batch, connection, defaults, location, sample, unique
from httpd_server import Httpd, wait_until
from standin import StandIn
from test_store import DLQ

FAST_RETRIES = "KinesisRetryBackoff 10ms 200ms"
ONE_CHILD = "ServerLimit 1\nStartServers 1\nMaxRequestWorkers 16\nMaxSpareThreads 16"
# A connection on hold asks again every few seconds at first.
HOLD_SECONDS = 90


def bulk(request_ids: list[str], **members: object) -> bytes:
    return b"[" + b",".join(batch(name, **members) for name in request_ids) + b"]"


def names(count: int) -> list[str]:
    return [unique() for _ in range(count)]


def post(server: Httpd, body: bytes, path: str = "/v2/events") -> None:
    answer = server.post(path, body)
    assert answer.status == 202, (answer.status, answer.body)


def dead_letters(server: Httpd) -> int:
    command = [DLQ, "--store", server.root / "store", "list", "--json"]
    return len(subprocess.run(command, check=True, capture_output=True).stdout.splitlines())


@pytest.fixture
def feed(aws, httpd):
    """A server that feeds the stream `events` with quick retries and these lines."""
    def make(*lines: str, service: str = "streams", more: str = "", **options: object) -> Httpd:
        stream = "events" if service == "streams" else "delivery"
        return httpd(defaults(aws.url, FAST_RETRIES, more)
                     + connection("one", *lines, stream=stream, service=service)
                     + location("/v2/events", "one", lines=("KinesisMaxBodySize 64M", )), **options)
    return make


# Filling calls

@pytest.mark.parametrize("service, stream, operation", [("streams", "events", "PutRecords"),
                                                        ("firehose", "delivery", "PutRecordBatch")])
def test_calls_are_filled_to_five_hundred_records(aws, feed, service, stream, operation):
    server = feed("KinesisLinger 2s", service=service)
    posted = names(1000)
    post(server, bulk(posted))
    ledger.assert_exactly(aws, posted, stream)
    assert [call["records"] for call in aws.calls(operation)] == [500, 500]


@pytest.mark.parametrize("service, stream, operation, limit", [("streams", "events", "PutRecords", 10 << 20),
                                                               ("firehose", "delivery", "PutRecordBatch", 4 << 20)])
def test_calls_are_filled_to_the_services_bytes(aws, feed, service, stream, operation, limit):
    server = feed("KinesisLinger 2s", service=service, more="KinesisQueueBytes 512M")
    posted = names(24)
    post(server, bulk(posted, padding="x" * 900_000))
    ledger.assert_exactly(aws, posted, stream)
    calls = aws.calls(operation)
    assert all(call["bytes"] <= limit for call in calls)
    assert len(calls) <= 24 * 900_000 // limit + 3


def test_what_lingers_leaves_together(aws, feed):
    server = feed("KinesisLinger 1s", mpm_lines=ONE_CHILD)
    posted = names(20)
    for name in posted:
        post(server, batch(name))
    ledger.assert_exactly(aws, posted)
    assert len(aws.calls("PutRecords")) <= 3


def test_connections_to_aws_are_kept_alive(aws, feed):
    server = feed("KinesisLinger 0", mpm_lines=ONE_CHILD)
    for name in names(20):
        post(server, batch(name))
        ledger.wait_ids(aws, [name])
    assert len({call["connection"] for call in aws.calls()}) <= 4


def test_no_more_calls_are_in_flight_than_allowed(aws, feed):
    aws.set_latency(100)
    server = feed("KinesisMaxInFlight 2", "KinesisLinger 0", "KinesisPutMode single", mpm_lines=ONE_CHILD)
    posted = names(20)
    post(server, bulk(posted))
    ledger.assert_exactly(aws, posted)
    calls = aws.calls("PutRecord")
    for call in calls:
        within = [c for c in calls if c["time"] <= call["time"] < c["time"] + c["duration"]]
        assert len(within) <= 2


# Put modes

@pytest.mark.parametrize("service, stream, many", [("streams", "events", "PutRecords"),
                                                   ("firehose", "delivery", "PutRecordBatch")])
def test_put_mode_single_uses_put_record_only(aws, feed, service, stream, many):
    server = feed("KinesisPutMode single", service=service)
    posted = names(10)
    post(server, bulk(posted))
    ledger.assert_exactly(aws, posted, stream)
    assert len(aws.calls("PutRecord")) == 10 and not aws.calls(many)


@pytest.mark.parametrize("service, stream, many", [("streams", "events", "PutRecords"),
                                                   ("firehose", "delivery", "PutRecordBatch")])
def test_put_mode_auto_falls_back_where_batch_calls_are_denied_and_says_so_once(aws, feed, service, stream, many):
    aws.add_fault("access_denied", batch_only=True)
    server = feed("KinesisPutMode auto", service=service, mpm_lines=ONE_CHILD)
    server.expect("KF0402")
    for _ in range(3):
        posted = names(10)
        post(server, bulk(posted))
        ledger.wait_ids(aws, posted, stream)
    assert aws.total(stream=stream) == 30
    assert len(aws.calls(many)) <= 2
    assert server.log().count("KF0402") == 1


def test_put_mode_batch_does_not_fall_back(aws, feed):
    rule = aws.add_fault("access_denied", batch_only=True)
    server = feed("KinesisPutMode batch")
    server.expect("KF0306")
    posted = names(5)
    post(server, bulk(posted))
    server.wait_log("KF0306")
    assert not aws.calls("PutRecord")
    aws.remove_fault(rule)
    ledger.wait_ids(aws, posted, timeout=HOLD_SECONDS)
    assert not aws.calls("PutRecord")


# What fails and is sent again

@pytest.mark.parametrize("service, stream", [("streams", "events"), ("firehose", "delivery")])
def test_a_partial_failure_resends_the_failed_records_only(aws, feed, service, stream):
    aws.add_fault("fail_records", fraction=0.5, count=6, match={"seed": 7})
    server = feed(service=service)
    server.allow("KF0406", "KF0401")
    posted = names(200)
    post(server, bulk(posted))
    ledger.assert_exactly(aws, posted, stream)


def test_what_aws_says_of_a_failed_record_is_told(aws, feed):
    said = "Rate exceeded for shard shardId-000000000001 in stream events under account 123456789012."
    aws.add_fault("fail_records", indexes=[1], code="ProvisionedThroughputExceededException", message=said, count=1)
    server = feed()
    server.expect("KF0406")
    posted = names(3)
    post(server, bulk(posted))
    ledger.assert_exactly(aws, posted)
    server.wait_log(f"ProvisionedThroughputExceededException: {said}, request id ")


@pytest.mark.parametrize("character", ["k", "\u00e9", "\u20ac", "\U0001f600"])
def test_a_partition_key_has_as_many_characters_as_aws_takes(aws, feed, character):
    server = feed("KinesisPartitionKey place", mpm_lines=ONE_CHILD)
    posted = {unique(): n for n in (255, 256, 300)}
    for name, n in posted.items():
        post(server, batch(name, place=character * n))
    ledger.assert_exactly(aws, posted)
    keys = {json.loads(entry.data)["source_request_id"]: entry.partition_key for entry in aws.records()}
    assert keys == {name: character * min(n, 256) for name, n in posted.items()}


TROUBLES = {
    "throttled calls": ("throttle", {}, 3), "status 500": ("error", {"code": "InternalFailure", "status": 500}, 3),
    "status 503 without a body": ("empty", {"status": 503, "store": False}, 3),
    "an HTML page of a proxy": ("html", {"status": 502}, 3), "HTML with status 200": ("html", {"status": 200}, 2),
    "reset before reading": ("reset", {"when": "before_reading"}, 3),
    "reset while reading": ("reset", {"when": "reading"}, 3),
    "failed records with an unknown code": ("fail_records", {"code": "BrandNewFailure", "fraction": 0.5}, 2),
    "too large": ("too_large", {"over_bytes": 3000}, None),
    "late answers": ("delay", {"before_ms": 700}, 3),
    "answers byte by byte": ("delay", {"between_ms": 1, "piece": 20}, 3),
}


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("service, stream", [("streams", "events"), ("firehose", "delivery")])
def test_trouble_without_acceptance_loses_and_repeats_nothing(aws, feed, trouble, service, stream):
    kind, options, count = TROUBLES[trouble]
    acts_early = options.get("when") in ("before_reading", "reading")
    match = {} if acts_early else {"operation": ["PutRecords", "PutRecordBatch"]}
    aws.add_fault(kind, match=match, count=count, **options)
    server = feed(service=service)
    server.allow("KF0401", "KF0403", "KF0405", "KF0406")
    posted = names(60)
    for i in range(0, 60, 20):
        post(server, bulk(posted[i:i + 20]))
    ledger.assert_exactly(aws, posted, stream)


LOST = {
    "reset after acceptance": ("reset", {"when": "after_record"}),
    "reset within the reply": ("reset", {"when": "in_reply"}),
    "a reply cut short": ("truncate", {"at": 0.5}), "an empty reply": ("empty", {"status": 200}),
    "a page after acceptance": ("html", {"status": 200, "store": True}),
    "too few entries": ("wrong_count", {"delta": -1}),
    "too many entries": ("wrong_count", {"delta": 1}), "an endless reply": ("oversized", {}),
}


@pytest.mark.parametrize("trouble", LOST)
def test_a_lost_answer_loses_nothing_and_only_its_records_may_come_twice(aws, feed, trouble):
    kind, options = LOST[trouble]
    aws.add_fault(kind, match={"operation": "PutRecords"}, count=2, **options)
    server = feed()
    server.allow("KF0401", "KF0405")
    posted = names(60)
    for i in range(0, 60, 20):
        post(server, bulk(posted[i:i + 20]))
    ledger.wait_ids(aws, posted)
    ledger.assert_no_unexplained_duplicates(aws)


def test_a_resent_record_keeps_its_message_id(aws, feed):
    aws.add_fault("reset", when="after_record", match={"operation": "PutRecords"}, count=2)
    server = feed()
    server.allow("KF0405")
    name = unique()
    post(server, batch(name))
    copies = ledger.find(aws, name, count=3)
    assert len({json.loads(copy)["message_id"] for copy in copies}) == 1


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_a_clock_that_is_off_is_corrected_at_once(aws, feed, seconds):
    aws.add_fault("skew", seconds=seconds)
    server = feed()
    server.expect("KF0404")
    posted = names(20)
    post(server, bulk(posted))
    ledger.assert_exactly(aws, posted)


def test_retry_limit_exceeded_is_raised_and_trying_goes_on(aws, feed):
    aws.add_fault("error", code="InternalFailure", status=500, match={"operation": "PutRecords"}, count=6)
    server = feed("KinesisRetryLimit 2", "KinesisLinger 500ms")
    server.expect("KF0401", "KF0305")
    posted = names(3)
    post(server, bulk(posted))
    ledger.assert_exactly(aws, posted)
    assert "500 - Internal Server Error" in server.log() and "Retry Limit Exceeded" in server.log()


def test_a_record_that_is_too_old_is_given_up(aws, feed):
    aws.add_fault("throttle", match={"operation": "PutRecords"})
    server = feed("KinesisRetryMaxAge 1s")
    server.expect("KF0304")
    server.allow("KF0406", "KF0305")
    post(server, batch())
    server.wait_log("KF0304")
    assert aws.total() == 0


# A record that AWS refuses

@pytest.mark.parametrize("service, stream", [("streams", "events"), ("firehose", "delivery")])
@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("code", ["ValidationException", "InvalidArgumentException"])
def test_a_record_that_aws_refuses_is_isolated_and_the_others_go(aws, feed, service, stream, index, code):
    aws.add_fault("poison", contains="poisoned", index=index, code=code)
    server = feed("KinesisLinger 500ms", service=service)
    server.expect("KF0304")
    good, bad = names(150), names(2)
    body = bulk(good[:70])[:-1] + b"," + batch(bad[0], x="poisoned") + b"," + bulk(good[70:], )[1:-1] + b"," + \
        batch(bad[1], x="poisoned") + b"]"
    post(server, body)
    ledger.assert_exactly(aws, good, stream)
    wait_until(lambda: dead_letters(server) >= 2, "both refused records to be given up")
    assert len(aws.calls()) < 60


# On hold

HOLDS = {
    "missing stream": None,
    "KMS key disabled": {"code": "KMSDisabledException", "status": 400},
    "no permission": {"code": "AccessDeniedException", "status": 400},
    "unknown key": {"code": "UnrecognizedClientException", "status": 400},
    "token expired": {"code": "ExpiredTokenException", "status": 400},
}


@pytest.mark.parametrize("trouble", HOLDS)
def test_what_an_operator_must_put_right_is_waited_for_and_nothing_is_lost(aws, feed, trouble):
    fault = HOLDS[trouble]
    if fault is None:
        aws.remove_stream("kinesis", "events")
    else:
        aws.add_fault("error", **fault)
    server = feed()
    server.expect("KF0306", "KF0307")
    posted = names(40)
    for i in range(0, 40, 10):
        post(server, bulk(posted[i:i + 10]))
    server.wait_log("KF0306")
    assert aws.total() == 0
    assert len(aws.calls()) < 60, "a connection on hold asks slowly"
    if fault is None:
        aws.add_stream("events")
    else:
        aws.clear_faults()
    ledger.wait_ids(aws, posted, timeout=HOLD_SECONDS)
    ledger.assert_exactly(aws, posted)
    server.wait_log("KF0307")


@pytest.mark.parametrize("mode", ["batch", "single"])
def test_whoever_finds_every_call_too_large_is_held_not_the_records_given_up(aws, feed, mode):
    aws.add_fault("html", status=413, store=False)
    server = feed(f"KinesisPutMode {mode}", "KinesisMaxInFlight 1", mpm_lines=ONE_CHILD)
    server.expect("KF0306")
    server.allow("KF0304")
    posted = names(20)
    post(server, bulk(posted))
    server.wait_log("KF0306")
    # Single calls tell one by one: a few must have been refused before it is nobody's fault.
    given_up = dead_letters(server)
    assert given_up == 0 if mode == "batch" else given_up <= 4
    aws.clear_faults()
    wait_until(lambda: aws.total() == 20 - given_up, "what was held", HOLD_SECONDS)
    assert dead_letters(server) == given_up


def test_a_wrong_secret_puts_on_hold(aws, httpd):
    aws.add_credential("AKIDOTHER", "right" * 8)
    server = httpd(defaults(aws.url)
                   + connection("one", "KinesisAccessKeyId AKIDOTHER", f"KinesisSecretAccessKey {'wrong' * 8}")
                   + location("/v2/events", "one"))
    server.expect("KF0306")
    name = unique()
    post(server, batch(name))
    server.wait_log("KF0306")
    aws.add_credential("AKIDOTHER", "wrong" * 8)
    ledger.wait_ids(aws, [name], timeout=HOLD_SECONDS)


# Isolation

@pytest.mark.parametrize("mpm", ["event", "prefork"])
def test_a_destination_that_hangs_slows_neither_answers_nor_another_connection(aws, httpd, mpm):
    aws.add_stream("stuck")
    aws.add_fault("hang", match={"stream": "stuck"})
    server = httpd(defaults(aws.url) + connection("stuck", stream="stuck") + connection("fine")
                   + location("/both", "stuck", "fine") + location("/fine", "fine")
                   + "KinesisShutdownTimeout 500ms\n", mpm=mpm)
    server.allow("KF0405", "AH00045")
    posted = names(40)
    slowest = 0.0
    for i, name in enumerate(posted):
        begun = time.monotonic()
        post(server, batch(name), "/both" if i % 2 else "/fine")
        slowest = max(slowest, time.monotonic() - begun)
    assert slowest < 3
    ledger.assert_exactly(aws, posted)
    server.stop()
    aws.clear_faults()
    server.start()
    ledger.assert_exactly(aws, posted[1::2], "stuck")
    assert aws.total(stream="events") == len(posted)


def fill(server: Httpd, path: str) -> tuple[list[str], Answer]:
    """Posts until the answer is 503; what was accepted before, and that answer."""
    accepted = []
    for _ in range(1000):
        name = unique()
        answer = server.post(path, batch(name, padding="x" * 50_000))
        if answer.status == 503:
            return accepted, answer
        assert answer.status == 202
        accepted.append(name)
    raise AssertionError("nothing bounded what was accepted")


def test_when_full_the_locations_feeding_a_connection_answer_503_and_others_go_on(aws, httpd):
    aws.add_stream("stuck")
    rule = aws.add_fault("hang", match={"stream": "stuck"})
    server = httpd(defaults(aws.url, FAST_RETRIES) + connection("stuck", stream="stuck") + connection("fine")
                   + location("/stuck", "stuck") + location("/both", "stuck", "fine") + location("/fine", "fine")
                   + "KinesisQueueSize 64\nKinesisQueueBytes 8M\nKinesisStoreLimit 16M\n", mpm_lines=ONE_CHILD)
    server.allow("KF0202", "KF0405", "KF0601")
    accepted, refusal = fill(server, "/stuck")
    assert accepted and refusal.error() and int(refusal.headers["Retry-After"]) >= 1
    both, fine = unique(), names(30)
    assert server.post("/both", batch(both, padding="x" * 50_000)).status == 503
    for name in fine:
        post(server, batch(name), "/fine")
    ledger.wait_ids(aws, fine)
    assert both not in ledger.ids(aws), "a 503 forwarded something"
    aws.remove_fault(rule)
    aws.stop_accepting(0.2, drop=True)
    ledger.wait_ids(aws, accepted, "stuck")
    wait_until(lambda: server.post("/stuck", batch()).status == 202, "room again")
    assert set(ledger.ids(aws, "stuck")) & {both} == set()


# The check of a Firehose stream

@pytest.mark.parametrize("stream", [{"type": "KinesisStreamAsSource"}, {"status": "CREATING"}])
def test_a_firehose_stream_that_takes_no_records_is_an_alert_at_start(aws, feed, stream):
    aws.add_delivery_stream("delivery", **stream)
    server = feed(service="firehose")
    server.expect("KF0403")
    server.wait_log("KF0403")
    assert server.running()


def test_a_denied_check_is_an_alert_and_delivery_does_not_mind(aws, feed):
    aws.add_fault("access_denied", match={"operation": "DescribeDeliveryStream"})
    server = feed(service="firehose")
    server.expect("KF0403")
    posted = names(10)
    post(server, bulk(posted))
    ledger.assert_exactly(aws, posted, "delivery")
    server.wait_log("KF0403")


def test_a_check_that_hangs_does_not_delay_delivery(aws, feed):
    aws.add_fault("hang", match={"operation": "DescribeDeliveryStream"})
    server = feed(service="firehose")
    server.allow("KF0403", "KF0405")
    posted = names(10)
    post(server, bulk(posted))
    ledger.assert_exactly(aws, posted, "delivery")


def test_an_active_firehose_stream_is_checked_quietly_and_not_by_every_child(aws, feed):
    server = feed(service="firehose")
    wait_until(lambda: aws.calls("DescribeDeliveryStream"), "the check")
    post(server, sample("known-user-customerid-alias"))
    assert aws.wait_for(1) == 1
    assert len(aws.calls("DescribeDeliveryStream")) == 1
    assert "KF0403" not in server.log()


def test_configuration_text_for_two_streams_uses_each_by_its_own_name(aws, httpd):
    aws.add_stream("by-arn")
    server = httpd(defaults(aws.url) + configs.section("KinesisConnection", "a", [
        "KinesisStreamArn arn:aws:kinesis:us-east-1:123456789012:stream/by-arn"]) + connection("b")
        + location("/v2/events", "a", "b"))
    name = unique()
    post(server, batch(name))
    ledger.wait_ids(aws, [name])
    ledger.wait_ids(aws, [name], "by-arn")
