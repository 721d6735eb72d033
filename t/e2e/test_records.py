"""What arrives at Kinesis and Firehose, compared with what was posted to the byte."""
from __future__ import annotations

import base64
import hashlib
import json
import time
import uuid

import boto3
import pytest

import configs
import ledger
import oracle
import rawjson
from configs import batch, connection, defaults, location, sample, unique
from httpd_server import KEY_ID, SECRET, wait_until
from rawjson import Obj

BATCH_SAMPLES = [name for name in configs.sample_names() if not name.startswith(("audience", "bulk"))]
EVERYTHING = tuple(f"{name} On" for name in sorted(oracle.OFF_BY_DEFAULT))
MIB = 1 << 20


def feed(aws, httpd, *lines: str, service: str = "streams", more: str = "", location_lines: tuple[str, ...] = ()):
    """A server with one connection of these settings, fed by /v2/events."""
    stream = "events" if service == "streams" else "delivery"
    return httpd(defaults(aws.url) + connection("one", *lines, stream=stream, service=service)
                 + location("/v2/events", "one", lines=location_lines) + more)


def deliver(aws, server, body: bytes, count: int = 1, stream: str = "events") -> list[bytes]:
    """Posts a body; the records that come of it, once there are so many."""
    before = len(ledger.data(aws, stream))
    answer = server.post("/v2/events", body)
    assert answer.status == 202, answer.body
    wait_until(lambda: len(ledger.data(aws, stream)) >= before + count, f"{count} records in {stream}")
    return ledger.data(aws, stream)[before:]


def deliver_nothing(aws, server, body: bytes) -> None:
    """Posts a body that must be taken and leave no record behind, and something after it that does."""
    assert server.post("/v2/events", body).status == 202
    witness = unique()
    assert server.post("/v2/events", batch(witness, user_identities={"email": "w@e.example"})).status == 202
    ledger.wait_ids(aws, [witness])
    assert ledger.ids(aws) == [witness]


# Both forms, both services, every sample

@pytest.mark.parametrize("service, stream", [("streams", "events"), ("firehose", "delivery")])
def test_received_forwards_every_sample_token_for_token(aws, httpd, service, stream):
    server = feed(aws, httpd, "KinesisRecordFormat received", *EVERYTHING, service=service)
    for name in BATCH_SAMPLES:
        record, = deliver(aws, server, sample(name), stream=stream)
        oracle.assert_received(record, oracle.filtered(rawjson.parse(sample(name)), dropped=()))


@pytest.mark.parametrize("service, stream", [("streams", "events"), ("firehose", "delivery")])
def test_outbound_forwards_every_sample_in_mparticles_form(aws, httpd, service, stream):
    server = feed(aws, httpd, service=service)
    for name in BATCH_SAMPLES:
        expected = oracle.filtered(rawjson.parse(sample(name)))
        begun = int(time.time() * 1000) - 1
        record, = deliver(aws, server, sample(name), stream=stream)
        oracle.assert_outbound(record, expected, begun, int(time.time() * 1000) + 1)


def test_spellings_that_a_parser_would_change_survive(aws, httpd):
    body = (b'{ "mpid" : -9223372036854775808, "big":123456789012345678901234567890, "f":1.10e+0400, "z":-0.0,\n'
            b'"esc":"\\u0041\\/\\u00e9\\n\\ud83c\\udf89", "\\u006e\\u0061me":"\xc3\xa9\xe2\x98\x95", "nul":"a\\u0000b",'
            b'"events":[ {"data":{"x" : [ 1.0 , true,null ] },"event_type":"custom\\u005fevent"} ] }')
    server = feed(aws, httpd, "KinesisRecordFormat received")
    record, = deliver(aws, server, body)
    assert rawjson.tokens(record) == rawjson.tokens(body)


def test_keys_of_the_body_are_never_forwarded(aws, httpd):
    server = feed(aws, httpd)
    record, = deliver(aws, server, batch(api_key="secret-1", api_keys=["secret-2"]))
    assert b"secret-" not in record and b"api_key" not in record


@pytest.mark.parametrize("form", ["received", "outbound"])
def test_newline_makes_a_record_one_line(aws, httpd, form):
    server = feed(aws, httpd, f"KinesisRecordFormat {form}", "KinesisRecordDelimiter newline")
    record, = deliver(aws, server, sample("known-user-customerid-alias"))
    assert record.endswith(b"}\n") and record.count(b"\n") == 1 and b"\r" not in record


def test_without_delimiter_a_record_ends_with_its_brace(aws, httpd):
    server = feed(aws, httpd)
    record, = deliver(aws, server, sample("known-user-customerid-alias"))
    assert record.startswith(b"{") and record.endswith(b"}")


# Filters

def test_each_switch_drops_its_event_types_and_no_others(aws, httpd):
    switches = [*oracle.SWITCHES, "KinesisSendOtherEvents"]
    config = defaults(aws.url)
    for name in switches:
        aws.add_stream(name)
        config += connection(name, *EVERYTHING, f"{name} Off", stream=name)
    server = httpd(config + location("/v2/events", *switches))
    posted = {name: rawjson.parse(sample(name))
              for name in ("every-schema-event-type", "legacy-and-unknown-event-types")}
    for name in posted:
        assert server.post("/v2/events", sample(name)).status == 202
    for switch in switches:
        wanted = []
        for tree in posted.values():
            types = [oracle.event_type(event) for event in tree.get("events")]
            dropped = oracle.SWITCHES.get(switch) or set(types) - oracle.NAMED_TYPES
            wanted.append([t for t in types if t not in dropped])
        assert aws.wait_for(2, stream=switch) == 2
        assert sorted(map(oracle.event_types, ledger.data(aws, switch))) == sorted(wanted), switch


def test_a_batch_emptied_by_filters_is_answered_202_and_not_forwarded(aws, httpd):
    server = feed(aws, httpd, "KinesisSendScreenViews Off")
    body = batch()
    deliver_nothing(aws, server, body.replace(b'"custom_event"', b'"screen_view"'))


@pytest.mark.parametrize("name", ["empty-events-array", "no-events-profile-update", "null-events"])
def test_batches_that_arrive_without_events_can_be_kept_back(aws, httpd, name):
    deliver_nothing(aws, feed(aws, httpd, "KinesisSendBatchesWithoutEvents Off"), sample(name))


@pytest.mark.parametrize("name", [n for n in BATCH_SAMPLES if n.startswith("anonymous")])
def test_anonymous_users_can_be_kept_back(aws, httpd, name):
    deliver_nothing(aws, feed(aws, httpd, "KinesisSendAnonymousUsers Off"), sample(name))


@pytest.mark.parametrize("name", ["known-user-customerid-alias", "known-user-outbound-array", "device-id-only",
                                  "partner-identity-only"])
def test_users_with_an_identity_are_not_anonymous(aws, httpd, name):
    deliver(aws, feed(aws, httpd, "KinesisSendAnonymousUsers Off"), sample(name))


def without(tree: Obj, *paths: str) -> Obj:
    """A copy without these members, dotted paths through objects."""
    copy = rawjson.parse(rawjson.dump(tree))
    for path in paths:
        *folders, name = path.split(".")
        node = copy
        for folder in folders:
            node = node.get(folder) if isinstance(node, Obj) else None
        if isinstance(node, Obj):
            node.drop(name)
    return copy


def without_event_locations(tree: Obj) -> Obj:
    copy = without(tree, "context.location")
    for event in copy.get("events"):
        data = event.get("data")
        data.drop("location")
        for crumb in data.get("breadcrumbs") or []:
            crumb.get("data").drop("location")
    return copy


REMOVALS = {
    "KinesisIncludeLocationInformation Off": without_event_locations,
    "KinesisIncludeUserIdentities Off": lambda t: without(t, "user_identities", "partner_identities",
                                                          "partner_identity"),
    "KinesisIncludeMetadata Off": lambda t: without(t, "application_info", "device_info", "source_info"),
    "KinesisIncludeMPDeviceId Off": lambda t: without(t, "mp_deviceid"),
    "KinesisIncludeEventBatchLocation Off": lambda t: without(t, "context.location"),
    "KinesisIncludeConsentState Off": lambda t: without(t, "consent_state"),
    "KinesisExcludeFields ip device_info.device context.data_plan nothing.there":
        lambda t: without(t, "ip", "device_info.device", "context.data_plan"),
}


@pytest.mark.parametrize("name", ["outbound-all-fields", "location-everywhere", "crash-with-nested-breadcrumbs",
                                  "partner-identity-only"])
def test_each_removal_takes_what_it_names_and_nothing_else(aws, httpd, name):
    config = defaults(aws.url)
    connections = [f"c{i}" for i in range(len(REMOVALS))]
    for own, line in zip(connections, REMOVALS):
        aws.add_stream(own)
        config += connection(own, "KinesisRecordFormat received", *EVERYTHING, line, stream=own)
    server = httpd(config + location("/v2/events", *connections))
    server.allow("KF0102")  # no identities, but their changes
    assert server.post("/v2/events", sample(name)).status == 202
    for own, expected in zip(connections, REMOVALS.values()):
        assert aws.wait_for(1, stream=own) == 1
        oracle.assert_received(ledger.data(aws, own)[0], expected(rawjson.parse(sample(name))))


@pytest.mark.parametrize("form", ["received", "outbound"])
def test_the_unique_id_replaces_in_place_or_comes_last(aws, httpd, form):
    server = feed(aws, httpd, 'KinesisUniqueId "the \\"id\\""', f"KinesisRecordFormat {form}")
    record, = deliver(aws, server, batch())
    assert rawjson.parse(record).names()[-1] == "unique_id" and json.loads(record)["unique_id"] == 'the "id"'
    record, = deliver(aws, server, b'{"unique_id":"incoming","mpid":5}')
    assert rawjson.parse(record).names()[0] == "unique_id" and json.loads(record)["unique_id"] == 'the "id"'


def test_an_incoming_unique_id_stays_where_none_is_configured(aws, httpd):
    record, = deliver(aws, feed(aws, httpd), batch(unique_id="incoming"))
    assert json.loads(record)["unique_id"] == "incoming"


def test_excluded_identities_are_left_out_of_both_shapes_of_batches(aws, httpd):
    server = feed(aws, httpd, "KinesisExcludeIdentities customer_id email ios_idfv")
    for identities in ({"customerid": "c", "email": "e", "other": "o"},
                       [{"identity_type": "customer_id", "identity": "c"}, {"identity_type": "email", "identity": "e"},
                        {"identity_type": "other", "identity": "o"}]):
        record, = deliver(aws, server, batch(user_identities=identities, device_info={"ios_idfv": "v", "brand": "b"}))
        found = json.loads(record)
        assert [(i["identity_type"], i["identity"]) for i in found["user_identities"]] == [("other", "o")]
        assert found["device_info"] == {"brand": "b"}


# One batch, several records

def test_single_events_share_the_envelope_and_have_ids_of_their_own(aws, httpd):
    server = feed(aws, httpd, "KinesisSendAsBatch Off", *EVERYTHING)
    body = sample("every-schema-event-type")
    posted = rawjson.parse(body)
    records = deliver(aws, server, body, count=len(posted.get("events")))
    assert sorted(rawjson.dump(rawjson.parse(r).get("events")) for r in records) == \
        sorted(rawjson.dump([event]) for event in posted.get("events"))
    assert len({json.loads(r)["message_id"] for r in records}) == len(records)
    envelopes = {rawjson.dump(without(rawjson.parse(r), "events", "message_id")) for r in records}
    assert len(envelopes) == 1


def test_a_batch_that_stays_one_record_keeps_its_message_id_and_split_ones_get_fresh_ones(aws, httpd):
    incoming = str(uuid.uuid4())
    server = feed(aws, httpd, "KinesisSendAsBatch Off")
    record, = deliver(aws, server, batch(events=1, message_id=incoming))
    assert json.loads(record)["message_id"] == incoming
    found = {json.loads(r)["message_id"] for r in deliver(aws, server, batch(events=3, message_id=incoming), count=3)}
    assert len(found) == 3 and incoming not in found


@pytest.mark.parametrize("service, stream, limit", [("streams", "events", MIB), ("firehose", "delivery", 1000 * 1024)])
def test_a_record_over_the_services_limit_is_split_between_events(aws, httpd, service, stream, limit):
    server = feed(aws, httpd, service=service, location_lines=("KinesisMaxBodySize 16M", ))
    request_id = unique()
    events = [{"event_type": "custom_event", "data": {"event_name": f"n{i}", "x": "y" * 150_000}} for i in range(30)]
    assert server.post("/v2/events", batch(request_id, events=events)).status == 202
    wait_until(lambda: sum(len(json.loads(r)["events"]) for r in ledger.data(aws, stream)) >= 30, "all events")
    entries = aws.records(stream=stream)
    assert all(len(e.data) + len(e.partition_key or "") <= limit for e in entries)
    assert 5 <= len(entries) <= 10
    names = [event["data"]["event_name"] for e in entries for event in json.loads(e.data)["events"]]
    assert sorted(names) == sorted(f"n{i}" for i in range(30))
    assert len({json.loads(e.data)["message_id"] for e in entries}) == len(entries)
    assert {json.loads(e.data)["source_request_id"] for e in entries} == {request_id}


def test_an_event_too_large_by_itself_is_given_up_with_an_alert_and_the_others_go(aws, httpd):
    server = feed(aws, httpd, location_lines=("KinesisMaxBodySize 16M", ))
    server.expect("KF0304")
    events = [{"event_type": "custom_event", "data": {"event_name": "small"}},
              {"event_type": "custom_event", "data": {"event_name": "large", "x": "y" * (MIB + 10)}},
              {"event_type": "custom_event", "data": {"event_name": "small too"}}]
    assert server.post("/v2/events", batch(events=events)).status == 202

    def names() -> list[str]:
        return sorted(e["data"]["event_name"] for r in ledger.data(aws) for e in json.loads(r)["events"])
    wait_until(lambda: len(names()) >= 2, "the small events")
    server.wait_log("KF0304")
    assert names() == ["small", "small too"]


# Fan-out

def test_one_post_reaches_every_connection_of_its_location_in_its_own_form(aws, httpd):
    aws.add_stream("raw")
    server = httpd(defaults(aws.url) + connection("a") + connection("b", "KinesisRecordFormat received", stream="raw")
                   + connection("c", "KinesisIncludeMetadata Off", stream="delivery", service="firehose")
                   + location("/v2/events", "a", "b", "c"))
    request_id = unique()
    body = batch(request_id, device_info={"brand": "b"})
    assert server.post("/v2/events", body).status == 202
    outbound, = ledger.find(aws, request_id)
    raw, = ledger.find(aws, request_id, "raw")
    lean, = ledger.find(aws, request_id, "delivery")
    assert raw == body
    assert "message_id" in json.loads(outbound) and "device_info" not in json.loads(lean)


def test_the_parts_of_a_bulk_are_filtered_one_by_one(aws, httpd):
    server = feed(aws, httpd, "KinesisSendAnonymousUsers Off")
    known, unknown = unique(), unique()
    body = b"[" + batch(unknown) + b"," + batch(known, user_identities={"email": "a@b.example"}) + b"]"
    assert server.post("/v2/events", body).status == 202
    ledger.wait_ids(aws, [known])
    assert ledger.ids(aws) == [known]


# Partition keys

KEYS = [
    ("auto", {"mpid": -12345678901234567, "mp_deviceid": "dev"}, "-12345678901234567"),
    ("auto", {"mpid": "7346244611012968789"}, "7346244611012968789"),
    ("auto", {"mpid": None, "mp_deviceid": "dev"}, "dev"),
    ("mpid", {"mpid": 5}, "5"), ("device", {"mpid": 5, "mp_deviceid": "dev"}, "dev"),
    ("device", {"mpid": 5, "device_info": {"ios_idfv": "v1"}}, "v1"), ("environment", {"mpid": 5}, "production"),
]


@pytest.mark.parametrize("key, members, expected", KEYS)
def test_the_partition_key_is_what_is_configured(aws, httpd, key, members, expected):
    deliver(aws, feed(aws, httpd, f"KinesisPartitionKey {key}"), batch(**members))
    assert [entry.partition_key for entry in aws.records(stream="events")] == [expected]


def test_random_partition_keys_spread_one_users_records(aws, httpd):
    server = feed(aws, httpd, "KinesisPartitionKey random")
    for _ in range(5):
        deliver(aws, server, batch())
    assert len({entry.partition_key for entry in aws.records(stream="events")}) == 5


def test_records_read_back_with_boto3_are_those_posted_in_the_shard_of_their_key(aws, httpd):
    aws.add_stream("wide", shards=4)
    server = httpd(defaults(aws.url) + connection("one", "KinesisRecordFormat received", stream="wide")
                   + location("/v2/events", "one"))
    posted = {batch(mpid=1000 + i) for i in range(40)}
    for body in posted:
        assert server.post("/v2/events", body).status == 202
    assert aws.wait_for(40) == 40
    client = boto3.client("kinesis", endpoint_url=aws.url, region_name="us-east-1", aws_access_key_id=KEY_ID,
                          aws_secret_access_key=SECRET)
    found = []
    for shard in client.list_shards(StreamName="wide")["Shards"]:
        first, last = (int(shard["HashKeyRange"][end]) for end in ("StartingHashKey", "EndingHashKey"))
        iterator = client.get_shard_iterator(StreamName="wide", ShardId=shard["ShardId"],
                                             ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        for record in client.get_records(ShardIterator=iterator)["Records"]:
            key = json.loads(record["Data"])["mpid"]
            assert record["PartitionKey"] == str(key)
            assert first <= int.from_bytes(hashlib.md5(str(key).encode()).digest(), "big") <= last
            found.append(record["Data"])
    assert len(found) == 40 and set(found) == posted


# Firehose's joined records

def test_joined_records_hold_whole_lines_and_every_batch_once(aws, httpd):
    server = feed(aws, httpd, "KinesisJoinRecords On", "KinesisLinger 2s", service="firehose")
    posted = [unique() for _ in range(60)]
    assert server.post("/v2/events", b"[" + b",".join(map(batch, posted)) + b"]").status == 202

    def lines() -> list[bytes]:
        return b"\n".join(r.rstrip(b"\n") for r in ledger.data(aws, "delivery")).split(b"\n")
    wait_until(lambda: aws.total(stream="delivery") and len(lines()) >= 60, "all lines")
    assert sorted(json.loads(line)["source_request_id"] for line in lines()) == sorted(posted)
    assert aws.total(stream="delivery") < 60


@pytest.mark.parametrize("form", ["received", "outbound"])
def test_a_joined_batch_stays_on_its_line_however_it_was_written(aws, httpd, form):
    server = feed(aws, httpd, "KinesisJoinRecords On", f"KinesisRecordFormat {form}", "KinesisLinger 2s",
                  service="firehose")
    body = b',\n'.join(b'{\n "mpid": %d,\r\n "events": [\n]\n}' % i for i in range(40))
    assert server.post("/v2/events", b"[" + body + b"]").status == 202
    wait_until(lambda: b'"mpid": 39' in b"".join(ledger.data(aws, "delivery")), "the last batch")
    lines = [line for record in ledger.data(aws, "delivery") for line in record.split(b"\n")]
    assert sorted(json.loads(line)["mpid"] for line in lines) == list(range(40))


# Audience messages

def audience(**members: object) -> bytes:
    return json.dumps({"AudienceId": 9, "AudienceName": "n", "IsMember": True, **members}).encode()


@pytest.mark.parametrize("form", ["received", "outbound"])
def test_an_audience_message_arrives_as_it_is(aws, httpd, form):
    server = feed(aws, httpd, f"KinesisRecordFormat {form}", "KinesisUniqueId u", "KinesisIncludeUserIdentities Off")
    for name in ("audience-all-identities", "audience-anonymous-mpid-only"):
        record, = deliver(aws, server, sample(name))
        assert rawjson.tokens(record) == rawjson.tokens(sample(name))


def test_excluded_identities_are_left_out_of_audience_messages(aws, httpd):
    server = feed(aws, httpd, "KinesisExcludeIdentities customer_id email ios_idfv other_id_3")
    record, = deliver(aws, server, sample("audience-all-identities"))
    expected = without(rawjson.parse(sample("audience-all-identities")), "UserIdentities.CustomerId",
                       "UserIdentities.Email", "UserIdentities.AppleVendorIdentifier", "UserIdentities.Other3")
    oracle.assert_received(record, expected)


def test_an_audience_message_with_events_of_null_is_one_and_loses_what_is_excluded(aws, httpd):
    server = feed(aws, httpd, "KinesisExcludeIdentities email", "KinesisUniqueId u")
    record, = deliver(aws, server, audience(events=None, UserIdentities={"Email": "a@e.example", "MPID": "5"}))
    assert json.loads(record) == json.loads(audience(events=None, UserIdentities={"MPID": "5"}))


def test_audience_messages_of_anonymous_users_can_be_kept_back(aws, httpd):
    server = feed(aws, httpd, "KinesisSendAnonymousUsers Off")
    deliver_nothing(aws, server, sample("audience-anonymous-mpid-only"))


@pytest.mark.parametrize("identities, expected", [({"MPID": "77", "CustomerId": "c"}, "77"),
                                                  ({"CustomerId": "c"}, "c")])
def test_audience_messages_are_keyed_by_user(aws, httpd, identities, expected):
    deliver(aws, feed(aws, httpd), audience(UserIdentities=identities))
    assert [entry.partition_key for entry in aws.records(stream="events")] == [expected]


def test_wrapped_audience_messages_and_batches_arrive_unwrapped(aws, httpd):
    server = feed(aws, httpd, "KinesisRecordFormat received")
    inside = audience(UserIdentities={"MPID": "5"})
    text = b'"' + base64.b64encode(batch("wrapped")) + b'"'
    body = (b'[{"DeliveryStreamName":"x","Record":{"Data":' + inside + b'}},'
            b'{"DeliveryStreamName":"x","Record":{"Data":' + text + b'}}]')
    records = deliver(aws, server, body, count=2)
    assert sorted(map(rawjson.tokens, records)) == sorted(map(rawjson.tokens, (inside, batch("wrapped"))))
