"""Tests of the stand-in for AWS: both services through boto3, signatures, limits, each kind of fault, the ledger."""
from __future__ import annotations

import base64
import http.client
import json
import os
import random
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from standin import KEY_ID, SECRET, StandIn  # noqa: E402
from standin_errors import AwsError  # noqa: E402
from standin_shapes import Shapes, decode_plain_records  # noqa: E402

TARGETS = {"kinesis": "Kinesis_20131202", "firehose": "Firehose_20150804"}
DEADLINE = 10


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    ca_file = tmp_path_factory.mktemp("standin") / "ca.pem"
    with StandIn(tls=True, ca_file=str(ca_file)) as standin:
        standin.ca_file = str(ca_file)
        yield standin


@pytest.fixture
def aws(server):
    for service in (server.app.kinesis, server.app.firehose):
        service.streams.clear()
    server.add_stream("events", shards=3)
    server.add_delivery_stream("lake")
    server.reset()
    return server


def client(standin, service, tls=False, secret=SECRET, key_id=KEY_ID, token=None, region="us-east-1"):
    config = Config(retries={"total_max_attempts": 1}, read_timeout=5)
    return boto3.client(service, endpoint_url=standin.tls_url if tls else standin.url, region_name=region,
                        aws_access_key_id=key_id, aws_secret_access_key=secret, aws_session_token=token,
                        verify=standin.ca_file if tls else None, config=config)


def signed(url, service, operation, body, when=None, drop=(), **headers):
    """Headers of a signed request; `drop` takes some off again after signing."""
    request = AWSRequest(method="POST", url=url + "/", data=body, headers={
        "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"{TARGETS[service]}.{operation}", **headers})
    signer = SigV4Auth(Credentials(KEY_ID, SECRET), service, "us-east-1")
    request.context["timestamp"] = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(when))
    signer._modify_request_before_signing(request)
    canonical = signer.canonical_request(request)
    signer._inject_signature_to_request(request, signer.signature(signer.string_to_sign(request, canonical), request))
    return {name: value for name, value in request.headers.items() if name not in drop}


def call(standin, service, operation, members, when=None, drop=(), **headers):
    """One raw call: status, headers and body of the answer."""
    body = members if isinstance(members, bytes) else json.dumps(members).encode()
    connection = http.client.HTTPConnection(urlsplit(standin.url).netloc, timeout=5)
    try:
        connection.request("POST", "/", body, signed(standin.url, service, operation, body, when, drop, **headers))
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def code_of(answer):
    return json.loads(answer[2])["__type"]


def b64(data):
    return base64.b64encode(data).decode()


def put_records(count=3, data=b"x", stream="events"):
    return {"StreamName": stream, "Records": [{"Data": b64(data), "PartitionKey": f"key-{i}"} for i in range(count)]}


def put_batch(count=3, data=b"x"):
    return {"DeliveryStreamName": "lake", "Records": [{"Data": b64(data)}] * count}


def control(standin, method, path, value=None):
    body = None if value is None else json.dumps(value).encode()
    request = urllib.request.Request(f"{standin.control_url}/_control/{path}", body, method=method)
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)


def eventually(check):
    """Waits for check() to be true, and gives its last value."""
    deadline = time.monotonic() + DEADLINE
    while not (value := check()) and time.monotonic() < deadline:
        time.sleep(0.005)
    return value


# Ordinary use


@pytest.mark.parametrize("tls", [False, True])
def test_kinesis_round_trip(aws, tls):
    kinesis = client(aws, "kinesis", tls)
    kinesis.create_stream(StreamName="made", ShardCount=4)
    sent = {f"data {i} \0\u00e9".encode() for i in range(50)}
    reply = kinesis.put_records(StreamName="made", Records=[
        {"Data": data, "PartitionKey": f"k{i}"} for i, data in enumerate(sorted(sent))])
    assert reply["FailedRecordCount"] == 0 and len(reply["Records"]) == 50
    one = kinesis.put_record(StreamName="made", Data=b"last", PartitionKey="k", ExplicitHashKey=str(2**128 - 1))
    assert one["ShardId"] == "shardId-000000000003"
    found = []
    for shard in kinesis.list_shards(StreamName="made")["Shards"]:
        iterator = kinesis.get_shard_iterator(StreamName="made", ShardId=shard["ShardId"],
                                              ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        first = kinesis.get_records(ShardIterator=iterator, Limit=1)
        rest = kinesis.get_records(ShardIterator=first["NextShardIterator"])
        records = first["Records"] + rest["Records"]
        numbers = [int(record["SequenceNumber"]) for record in records]
        assert numbers == sorted(set(numbers))
        found += [record["Data"] for record in records]
    assert sorted(found) == sorted(sent | {b"last"})
    assert "made" in kinesis.list_streams()["StreamNames"]
    assert len(kinesis.describe_stream(StreamName="made")["StreamDescription"]["Shards"]) == 4
    summary = kinesis.describe_stream_summary(StreamName="made")["StreamDescriptionSummary"]
    assert (summary["StreamStatus"], summary["OpenShardCount"]) == ("ACTIVE", 4)
    kinesis.delete_stream(StreamName="made")
    with pytest.raises(ClientError, match="ResourceNotFoundException.*Stream made under account 123456789012 not"):
        kinesis.put_record(StreamName="made", Data=b"", PartitionKey="k")


@pytest.mark.parametrize("tls", [False, True])
def test_firehose_round_trip(aws, tls):
    firehose = client(aws, "firehose", tls)
    firehose.create_delivery_stream(DeliveryStreamName="made", DeliveryStreamType="DirectPut",
                                    ExtendedS3DestinationConfiguration={"RoleARN": "arn:aws:iam::123456789012:role/r",
                                                                        "BucketARN": "arn:aws:s3:::bucket"})
    with pytest.raises(ClientError, match="ResourceInUseException"):
        firehose.create_delivery_stream(DeliveryStreamName="made")
    assert "RecordId" in firehose.put_record(DeliveryStreamName="made", Record={"Data": b"one"})
    reply = firehose.put_record_batch(DeliveryStreamName="made", Records=[{"Data": b"two"}, {"Data": b"three"}])
    assert reply["FailedPutCount"] == 0 and len({r["RecordId"] for r in reply["RequestResponses"]}) == 2
    described = firehose.describe_delivery_stream(DeliveryStreamName="made")["DeliveryStreamDescription"]
    assert (described["DeliveryStreamStatus"], described["DeliveryStreamType"]) == ("ACTIVE", "DirectPut")
    assert firehose.list_delivery_streams()["DeliveryStreamNames"] == ["lake", "made"]
    assert [entry.data for entry in aws.records("firehose", "made")] == [b"one", b"two", b"three"]
    firehose.delete_delivery_stream(DeliveryStreamName="made")
    with pytest.raises(ClientError, match="ResourceNotFoundException.*Firehose made under account"):
        firehose.put_record(DeliveryStreamName="made", Record={"Data": b""})


def test_iterators_start_where_asked(aws):
    kinesis = client(aws, "kinesis")
    aws.add_stream("one", shards=1)
    numbers = [kinesis.put_record(StreamName="one", Data=b"%d" % i, PartitionKey="k")["SequenceNumber"]
               for i in range(4)]

    def read(kind, **more):
        iterator = kinesis.get_shard_iterator(StreamName="one", ShardId="shardId-000000000000",
                                              ShardIteratorType=kind, **more)["ShardIterator"]
        return [record["Data"] for record in kinesis.get_records(ShardIterator=iterator)["Records"]]
    assert read("LATEST") == []
    assert read("AT_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[2]) == [b"2", b"3"]
    assert read("AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[2]) == [b"3"]
    assert len(read("AT_TIMESTAMP", Timestamp=0)) == 4
    with pytest.raises(ClientError, match="Invalid ShardIterator"):
        kinesis.get_records(ShardIterator="nonsense")


def test_stream_arn_and_dry_run(aws):
    named = {"StreamARN": "arn:aws:kinesis:us-east-1:123456789012:stream/events", "Data": b64(b"x"),
             "PartitionKey": "k"}
    assert call(aws, "kinesis", "PutRecord", named)[0] == 200
    assert code_of(call(aws, "kinesis", "PutRecord", {**named, "DryRun": True})) == "DryRunOperationException"
    other = {**named, "StreamARN": "arn:aws:kinesis:us-east-1:999999999999:stream/events"}
    answer = call(aws, "kinesis", "PutRecord", other)
    assert code_of(answer) == "ResourceNotFoundException" and b"999999999999" in answer[2]
    assert aws.total() == 1


def test_headers_and_call_log(aws):
    status, headers, body = call(aws, "kinesis", "PutRecords", put_records(2, b"abc"))
    assert headers["Content-Type"] == "application/x-amz-json-1.1" and headers["x-amz-id-2"]
    logged = aws.calls("PutRecords")[-1]
    assert (logged["stream"], logged["records"], logged["bytes"], logged["status"]) == ("events", 2, 6, 200)
    assert logged["request_id"] == headers["x-amzn-RequestId"] and logged["duration"] > 0


def test_connections_are_kept(aws):
    before = aws.server.total
    connection = http.client.HTTPConnection(urlsplit(aws.url).netloc, timeout=5)
    body = json.dumps(put_records(1)).encode()
    for _ in range(5):
        connection.request("POST", "/", body, signed(aws.url, "kinesis", "PutRecords", body))
        assert connection.getresponse().read()
    connection.close()
    assert aws.server.total == before + 1 and len({c["connection"] for c in aws.calls()}) == 1


# Signatures


@pytest.mark.parametrize("tls", [False, True])
def test_wrong_secret_and_unknown_key(aws, tls):
    with pytest.raises(ClientError, match="InvalidSignatureException.*does not match"):
        client(aws, "kinesis", tls, secret="wrong").list_streams()
    with pytest.raises(ClientError, match="UnrecognizedClientException"):
        client(aws, "firehose", tls, key_id="AKIDOTHER").list_delivery_streams()
    with pytest.raises(ClientError, match="valid region"):
        client(aws, "kinesis", tls, region="eu-west-1").list_streams()


def test_session_tokens(aws):
    aws.add_credential("ASIATEMP", "temporary", token="token")
    assert client(aws, "kinesis", key_id="ASIATEMP", secret="temporary", token="token").list_streams()
    for token in (None, "other"):
        with pytest.raises(ClientError, match="UnrecognizedClientException"):
            client(aws, "kinesis", key_id="ASIATEMP", secret="temporary", token=token).list_streams()
    aws.add_credential("ASIATEMP", "temporary", token="token", expires=time.time() - 1)
    with pytest.raises(ClientError, match="ExpiredTokenException"):
        client(aws, "kinesis", key_id="ASIATEMP", secret="temporary", token="token").list_streams()
    aws.remove_credential("ASIATEMP")


@pytest.mark.parametrize("offset, said", [(-310, "Signature expired"), (310, "not yet current")])
def test_time_of_signature(aws, offset, said):
    answer = call(aws, "kinesis", "ListStreams", {}, when=time.time() + offset)
    assert code_of(answer) == "InvalidSignatureException" and said in answer[2].decode()
    assert call(aws, "kinesis", "ListStreams", {}, when=time.time() + offset * 0.95)[0] == 200


def test_what_must_be_signed(aws):
    assert code_of(call(aws, "kinesis", "ListStreams", {}, drop=("Authorization",))) == \
        "MissingAuthenticationTokenException"
    assert code_of(call(aws, "kinesis", "ListStreams", {}, drop=("X-Amz-Date",))) == "IncompleteSignatureException"
    answer = call(aws, "kinesis", "ListStreams", {}, drop=("Content-Type",))
    assert code_of(answer) == "UnknownOperationException"
    body = b"{}"
    headers = signed(aws.url, "kinesis", "ListStreams", body)
    for sent, change in ((body, {"Host": "elsewhere.example"}), (b"{ }", {}),
                         (body, {"X-Amz-Target": "Kinesis_20131202.ListShards"}),
                         (body, {"Authorization": headers["Authorization"].replace("content-type;", "")})):
        connection = http.client.HTTPConnection(urlsplit(aws.url).netloc, timeout=5)
        connection.request("POST", "/", sent, {**headers, **change})
        assert json.loads(connection.getresponse().read())["__type"] == "InvalidSignatureException"
        connection.close()


# Limits


def refused(aws, service, operation, members):
    status, _, body = call(aws, service, operation, members)
    answer = json.loads(body)
    assert status == 400
    return f"{answer['__type']}: {answer['message']}"


def test_kinesis_limits(aws):
    mib = 1024 * 1024

    def record(data, key="k"):
        return {"Data": b64(data), "PartitionKey": key}

    def accepted(*records):
        return call(aws, "kinesis", "PutRecords", {"StreamName": "events", "Records": list(records)})[0] == 200

    def said(*records):
        return refused(aws, "kinesis", "PutRecords", {"StreamName": "events", "Records": list(records)})
    assert accepted(*[record(b"x")] * 500)
    assert "at 'records' failed to satisfy constraint: Member must have length less than or equal to 500" in \
        said(*[record(b"x")] * 501)
    assert "greater than or equal to 1" in said()
    assert accepted(record(b"x" * (mib - 1)))
    assert said(record(b"x" * mib)).startswith("InvalidArgumentException")
    assert said(record(b"a"), record(b"a"), record(b"x" * (mib + 1))) == (
        "ValidationException: 1 validation error detected: Value 'java.nio.HeapByteBuffer[pos=0 lim=1048577 "
        "cap=1048577]' at 'records.3.member.data' failed to satisfy constraint: Member must have length less than "
        "or equal to 1048576")
    tenth = record(b"x" * (mib - 1))
    assert accepted(*[tenth] * 10)
    assert said(*[tenth] * 10, record(b"")) == "InvalidArgumentException: Records size exceeds 10 MB limit"
    assert accepted(record(b"", "\u00e9" * 256))
    assert "at 'records.1.member.partitionKey'" in said(record(b"", "k" * 257))
    assert "at 'records.1.member.partitionKey'" in said(record(b"", ""))
    assert "InvalidArgumentException: Invalid ExplicitHashKey" in \
        said({**record(b""), "ExplicitHashKey": str(2**128)})
    assert "ValidationException" in said({**record(b""), "ExplicitHashKey": "01"})
    assert "Value null at 'records.1.member.partitionKey'" in said({"Data": ""})
    assert said({"Data": "?", "PartitionKey": "k"}).startswith("SerializationException")


def test_record_limit_is_the_streams(aws):
    aws.add_stream("large", max_record_kib=2048)
    members = {"StreamName": "large", "Data": b64(b"x" * (2 * 1024 * 1024 - 1)), "PartitionKey": "k"}
    assert call(aws, "kinesis", "PutRecord", members)[0] == 200
    members["PartitionKey"] = "kk"
    assert refused(aws, "kinesis", "PutRecord", members).startswith("InvalidArgumentException")


def test_firehose_limits(aws):
    limit = 1000 * 1024
    large = {"Data": b64(b"x" * limit)}

    def batch(records):
        return call(aws, "firehose", "PutRecordBatch", {"DeliveryStreamName": "lake", "Records": records})
    assert batch([{"Data": ""}] * 500)[0] == 200
    assert b"less than or equal to 500" in batch([{"Data": ""}] * 501)[2]
    assert batch([large])[0] == 200
    assert b"at 'records.2.member.data'" in batch([{"Data": ""}, {"Data": b64(b"x" * (limit + 1))}])[2]
    filling = {"Data": b64(b"x" * (4 * 1024 * 1024 - 4 * limit))}
    assert batch([large] * 4 + [filling])[0] == 200
    assert b"Records size exceeds 4 MB limit" in batch([large] * 4 + [filling, {"Data": b64(b"x")}])[2]
    single = {"DeliveryStreamName": "lake", "Record": {"Data": b64(b"x" * (limit + 1))}}
    assert "at 'record.data'" in refused(aws, "firehose", "PutRecord", single)


def test_names_and_stream_states(aws):
    assert "regular expression pattern" in refused(aws, "kinesis", "PutRecords", put_records(stream="a b"))
    assert "ValidationException" in refused(aws, "kinesis", "PutRecords", put_records(stream="a" * 129))
    assert "ResourceNotFoundException" in refused(aws, "kinesis", "PutRecords", put_records(stream="a" * 128))
    aws.set_status("kinesis", "events", "CREATING")
    assert "ResourceNotFoundException" in refused(aws, "kinesis", "PutRecords", put_records())
    aws.add_delivery_stream("lake", type="KinesisStreamAsSource")
    assert refused(aws, "firehose", "PutRecordBatch", put_batch()) == (
        "InvalidArgumentException: This operation is not permitted on KinesisStreamAsSource delivery stream type.")
    assert "Unknown member" in refused(aws, "kinesis", "PutRecords", {**put_records(), "Extra": 1})
    assert "SerializationException" in refused(aws, "kinesis", "PutRecords", b"[")
    assert code_of(call(aws, "kinesis", "Nothing", {})) == "UnknownOperationException"


def test_short_way_agrees_with_the_models():
    """What the short way takes, the models take with the same outcome; ordinary calls do take the short way."""
    shapes, chance = Shapes(), random.Random(7)
    values = ["", "YQ==", "YQ", "Y Q==", "\u00e9", "YQ==\n", None, 1, "k" * 256, "k" * 257, [], {}]
    taken = 0
    for _ in range(3000):
        service, operation, name = chance.choice([("kinesis", "PutRecords", "StreamName"),
                                                  ("firehose", "PutRecordBatch", "DeliveryStreamName")])
        records = [{member: chance.choice(values) for member in ("Data", "PartitionKey", "Extra")
                    if chance.random() < (0.9 if member == "Data" or service == "kinesis" else 0.05)
                    and member != "Extra" or chance.random() < 0.02} for _ in range(chance.choice([0, 1, 1, 2]))]
        raw = {name: chance.choice(["s", "s", "a b", "", "s" * 64, "s" * 65, 1]), "Records": records}
        plain = decode_plain_records(service, operation, raw)
        if plain is not None:
            taken += 1
            assert plain == shapes.decode_by_model(service, operation, raw)
    assert taken > 100
    assert decode_plain_records("kinesis", "PutRecords", put_records()) is not None
    with pytest.raises(AwsError):
        shapes.decode("kinesis", "PutRecords", b"{}")


# Faults


def test_error_forms(aws):
    aws.add_fault("error", code="InternalFailure", status=500, message="boom", namespace=True, suffix=":http://x/",
                  message_key="Message", count=1)
    status, _, body = call(aws, "kinesis", "PutRecords", put_records())
    assert status == 500 and json.loads(body) == {
        "__type": "com.amazonaws.kinesis.v20131202#InternalFailure:http://x/", "Message": "boom"}
    aws.add_fault("error", code="SlowDown", status=503, form="header", count=1)
    status, headers, body = call(aws, "kinesis", "PutRecords", put_records())
    assert (status, headers["x-amzn-ErrorType"], body) == (503, "SlowDown", b"")
    assert call(aws, "kinesis", "PutRecords", put_records())[0] == 200
    assert aws.total() == 3


def test_matching(aws):
    def statuses(count, operation="PutRecords", members=None):
        return [call(aws, "kinesis", operation, members or put_records())[0] for _ in range(count)]
    aws.add_fault("error", code="X", status=500, match={"nth": [2, 3]}, id="nth")
    assert statuses(4) == [200, 500, 500, 200]
    assert aws.remove_fault("nth") and not aws.remove_fault("nth")
    aws.add_fault("error", code="X", status=500, match={"every": 2, "operation": "PutRecords"})
    assert statuses(4) == [200, 500, 200, 500] and statuses(2, "ListStreams", {"Limit": 1}) == [200, 200]
    aws.clear_faults()
    aws.add_fault("error", code="X", status=500, match={"probability": 0.5, "seed": 3})
    assert {200, 500} == set(statuses(20))
    aws.clear_faults()
    aws.add_fault("error", code="X", status=500, match={"contains": "bad"})
    aws.add_fault("error", code="Y", status=501, match={"partition_key": "key-4"})
    aws.add_fault("error", code="Z", status=502, match={"stream": "other"})
    assert statuses(1) == [200] and statuses(1, members=put_records(1, b"a bad one")) == [500]
    assert statuses(1, members=put_records(5)) == [501]
    aws.clear_faults()
    aws.add_fault("error", code="X", status=500, match={"until_s": 0.5})
    assert statuses(1) == [500] and eventually(lambda: statuses(1) == [200])
    for wrong in ({"type": "unknown"}, {"type": "error"}, {"type": "hang", "option": 1}):
        with pytest.raises(ValueError):
            aws.add_fault(**wrong)


def test_partial_failures(aws):
    aws.add_fault("fail_records", indexes=[0, 2], count=1)
    reply = json.loads(call(aws, "kinesis", "PutRecords", put_records(4))[2])
    assert reply["FailedRecordCount"] == 2
    assert ["ErrorCode" in record for record in reply["Records"]] == [True, False, True, False]
    assert reply["Records"][0]["ErrorCode"] == "ProvisionedThroughputExceededException"
    aws.add_fault("fail_records", fraction=0.5, code="InternalFailure", message="m", count=1)
    reply = json.loads(call(aws, "firehose", "PutRecordBatch", put_batch(100))[2])
    assert 20 < reply["FailedPutCount"] < 80
    failed = [r for r in reply["RequestResponses"] if r.get("ErrorCode") == "InternalFailure"]
    assert len(failed) == reply["FailedPutCount"] == 100 - aws.total("firehose")
    aws.add_fault("fail_records", contains="bad", code="InternalFailure")
    single = {"DeliveryStreamName": "lake", "Record": {"Data": b64(b"bad")}}
    assert call(aws, "firehose", "PutRecord", single)[0] == 500
    assert json.loads(call(aws, "kinesis", "PutRecords", put_records(2, b"bad"))[2])["FailedRecordCount"] == 2


def test_throttles(aws):
    aws.add_fault("throttle", count=2)
    assert code_of(call(aws, "kinesis", "PutRecords", put_records())) == "ProvisionedThroughputExceededException"
    answer = call(aws, "firehose", "PutRecordBatch", put_batch())
    assert (answer[0], code_of(answer)) == (500, "ServiceUnavailableException")
    aws.add_fault("rate_limit", records_per_second=10)
    reply = json.loads(call(aws, "kinesis", "PutRecords", put_records(100))[2])
    assert 80 < reply["FailedRecordCount"] <= 90
    aws.clear_faults()
    aws.add_fault("rate_limit", records_per_second=10, per_shard=True)
    reply = json.loads(call(aws, "kinesis", "PutRecords", put_records(200))[2])
    assert 160 < reply["FailedRecordCount"] <= 170


def test_denied_and_expired(aws):
    aws.add_fault("access_denied", batch_only=True)
    answer = call(aws, "kinesis", "PutRecords", put_records())
    assert code_of(answer) == "AccessDeniedException" and b"kinesis:PutRecords" in answer[2]
    assert code_of(call(aws, "firehose", "PutRecordBatch", put_batch())) == "AccessDeniedException"
    single = {"StreamName": "events", "Data": "", "PartitionKey": "k"}
    assert call(aws, "kinesis", "PutRecord", single)[0] == 200
    aws.clear_faults()
    aws.add_fault("expired_token", count=1)
    assert code_of(call(aws, "kinesis", "PutRecord", single)) == "ExpiredTokenException"


def test_poison(aws):
    records = put_records(3)
    records["Records"][1]["Data"] = b64(b"some poison here")
    aws.add_fault("poison", contains="poison", id="p")
    answer = call(aws, "kinesis", "PutRecords", records)
    assert code_of(answer) == "ValidationException" and b"'records.2.member.data'" in answer[2]
    aws.add_fault("poison", contains="poison", code="InvalidArgumentException", index=False, id="p")
    answer = call(aws, "kinesis", "PutRecords", records)
    assert code_of(answer) == "InvalidArgumentException" and b"records." not in answer[2]
    del records["Records"][1]
    assert call(aws, "kinesis", "PutRecords", records)[0] == 200 and aws.total() == 2


def test_too_large(aws):
    aws.add_fault("too_large", over_bytes=500)
    assert call(aws, "kinesis", "PutRecords", put_records(50))[0] == 413
    assert call(aws, "kinesis", "PutRecords", put_records(1))[0] == 200


def test_delays_and_latency(aws):
    aws.add_fault("delay", before_ms=50, between_ms=2, piece=20, count=1)
    started = time.monotonic()
    assert call(aws, "kinesis", "PutRecords", put_records(1))[0] == 200
    assert time.monotonic() - started > 0.06
    aws.set_latency(50)
    started = time.monotonic()
    assert call(aws, "kinesis", "PutRecords", put_records(1))[0] == 200
    aws.set_latency(0)
    assert time.monotonic() - started >= 0.05
    assert [entry.answer for entry in aws.records()] == ["delivered"] * 2


@pytest.mark.parametrize("store", [False, True])
def test_hang_until_the_client_goes(aws, store):
    aws.add_fault("hang", store=store)
    body = json.dumps(put_records()).encode()
    connection = http.client.HTTPConnection(urlsplit(aws.url).netloc, timeout=0.2)
    connection.request("POST", "/", body, signed(aws.url, "kinesis", "PutRecords", body))
    with pytest.raises(TimeoutError):
        connection.getresponse()
    connection.close()
    assert eventually(lambda: aws.calls()[-1]["answer"] == "lost")
    assert [entry.answer for entry in aws.records()] == ["lost"] * (3 if store else 0)


@pytest.mark.parametrize("when, stored", [("before_reading", 0), ("reading", 0), ("after_record", 3), ("in_reply", 3)])
def test_resets(aws, when, stored):
    aws.add_fault("reset", when=when, count=1)
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        call(aws, "kinesis", "PutRecords", put_records())
    assert [entry.answer for entry in aws.records()] == ["lost"] * stored
    assert aws.calls()[-1]["answer"] == "lost" and aws.calls()[-1]["rules"]
    assert call(aws, "kinesis", "PutRecords", put_records())[0] == 200


def test_spoilt_answers(aws):
    aws.add_fault("truncate", at=0.9, count=1)
    with pytest.raises(http.client.IncompleteRead):
        call(aws, "kinesis", "PutRecords", put_records())
    aws.add_fault("html", status=200, store=True, count=1)
    status, headers, body = call(aws, "kinesis", "PutRecords", put_records())
    assert (status, headers["Content-Type"]) == (200, "text/html") and body.startswith(b"<html>")
    aws.add_fault("empty", count=1)
    assert call(aws, "kinesis", "PutRecords", put_records())[2] == b""
    aws.add_fault("oversized", bytes=3_000_000, count=1)
    body = call(aws, "kinesis", "PutRecords", put_records())[2]
    assert len(body) > 3_000_000 and len(json.loads(body)["Records"]) == 3
    assert {entry.answer for entry in aws.records()} == {"lost"} and aws.total() == 12
    aws.add_fault("html", count=1)
    assert call(aws, "kinesis", "PutRecords", put_records())[0] == 502 and aws.total() == 12


@pytest.mark.parametrize("delta", [-1, 2])
def test_wrong_number_of_entries(aws, delta):
    aws.add_fault("wrong_count", delta=delta)
    assert len(json.loads(call(aws, "kinesis", "PutRecords", put_records())[2])["Records"]) == 3 + delta
    assert len(json.loads(call(aws, "firehose", "PutRecordBatch", put_batch())[2])["RequestResponses"]) == 3 + delta


def test_skewed_clock(aws):
    aws.add_fault("skew", seconds=3600)
    status, headers, body = call(aws, "kinesis", "ListStreams", {})
    assert status == 400 and b"Signature expired" in body
    offset = parsedate_to_datetime(headers["Date"]).timestamp() - time.time()
    assert 3595 < offset < 3605
    assert call(aws, "kinesis", "ListStreams", {}, when=time.time() + offset)[0] == 200


def test_stop_accepting(aws):
    aws.stop_accepting()
    with pytest.raises(ConnectionRefusedError):
        call(aws, "kinesis", "PutRecords", put_records())
    assert control(aws, "GET", "state")["url"] == aws.url
    aws.resume_accepting()
    assert call(aws, "kinesis", "PutRecords", put_records())[0] == 200
    aws.add_fault("stop_accepting", seconds=0.5, count=1)
    assert call(aws, "kinesis", "PutRecords", put_records())[0] == 200
    with pytest.raises(ConnectionRefusedError):
        call(aws, "kinesis", "PutRecords", put_records())

    def works():
        try:
            return call(aws, "kinesis", "PutRecords", put_records())[0] == 200
        except OSError:
            return False
    assert eventually(works)


@pytest.mark.parametrize("kind", ["wrong-name", "expired", "self-signed"])
def test_bad_certificates(kind):
    with StandIn(tls=True, certificate=kind) as standin:
        trust = ssl.create_default_context(cadata=standin.ca_pem.decode())
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            urllib.request.urlopen(standin.tls_url, context=trust, timeout=5)


# Ledger and control paths


def test_ledger(aws, tmp_path):
    path = tmp_path / "ledger"
    with StandIn(streams={"events": 2}, ledger_file=str(path)) as standin:
        call(standin, "kinesis", "PutRecords", put_records(3, b"same"))
        standin.add_fault("empty", count=1)
        call(standin, "kinesis", "PutRecords", put_records(1, b"lost"))
        summary = control(standin, "GET", "ledger/summary")
        assert (summary["total"], summary["duplicates"]) == (4, 2)
        row = summary["streams"][0]
        assert (row["stream"], row["distinct"], row["delivered"], row["lost"], row["bytes"]) == ("events", 2, 3, 1, 16)
        entry = standin.records()[0]
        assert (entry.data, entry.partition_key, entry.answer) == (b"same", "key-0", "delivered")
        page = control(standin, "GET", "ledger?start=3&limit=5")
        assert page["total"] == page["next"] == 4 and base64.b64decode(page["records"][0]["data"]) == b"lost"
        assert standin.wait_for(4) == 4
        standin.reset(["ledger"])
        assert standin.total() == 0 and len(standin.calls()) == 2
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["answer"] for line in lines] == ["delivered"] * 3 + ["lost"]


def test_less_is_kept_on_request():
    with StandIn(streams={"events": 1}, keep="digest") as standin:
        call(standin, "kinesis", "PutRecords", put_records(2))
        assert [len(entry.data) for entry in standin.records()] == [32, 32]
        assert standin.summary()["duplicates"] == 1
    with StandIn(streams={"events": 1}, delivery_streams={"lake": "DirectPut"}, keep="count") as standin:
        reply = json.loads(call(standin, "kinesis", "PutRecords", put_records(7))[2])
        assert len(reply["Records"]) == 7 and standin.total("kinesis") == 7
        assert json.loads(call(standin, "firehose", "PutRecordBatch", put_batch(4))[2])["FailedPutCount"] == 0
        assert standin.total() == 11
        assert "ResourceNotFoundException" in refused(standin, "kinesis", "PutRecords", put_records(stream="no"))


def test_control_paths(aws):
    rules = [{"id": "a", "action": {"type": "hang"}}, {"action": {"type": "empty"}}]
    ids = control(aws, "POST", "faults", rules)["ids"]
    assert [rule["id"] for rule in control(aws, "GET", "faults")] == ids
    control(aws, "DELETE", "faults/a")
    assert len(control(aws, "GET", "faults")) == 1
    with pytest.raises(urllib.error.HTTPError, match="400"):
        control(aws, "POST", "faults", {"action": {"type": "none"}})
    with pytest.raises(urllib.error.HTTPError, match="404"):
        control(aws, "DELETE", "faults/none")
    control(aws, "POST", "reset")
    control(aws, "POST", "streams", {"service": "kinesis", "name": "more", "shards": 2})
    control(aws, "POST", "streams", {"service": "firehose", "name": "more", "type": "MSKAsSource"})
    assert call(aws, "kinesis", "PutRecords", put_records(stream="more"))[0] == 200
    control(aws, "DELETE", "streams?service=kinesis&name=more")
    assert call(aws, "kinesis", "PutRecords", put_records(stream="more"))[0] == 400
    control(aws, "POST", "credentials", {"key_id": "AKIDMORE", "secret": "s"})
    assert client(aws, "kinesis", key_id="AKIDMORE", secret="s").list_streams()
    control(aws, "DELETE", "credentials?key_id=AKIDMORE")
    calls = control(aws, "GET", "calls")["calls"]
    assert [c["operation"] for c in calls] == ["PutRecords", "PutRecords", "ListStreams"]
    control(aws, "POST", "latency", {"ms": 0})
    control(aws, "POST", "accepting", {"accepting": False})
    control(aws, "POST", "accepting", {"accepting": True})
    assert eventually(lambda: control(aws, "GET", "state")["calls"] == 3)


def test_program(tmp_path):
    script = tmp_path / "script.json"
    script.write_text(json.dumps([{"action": {"type": "throttle"}, "count": 1}]))
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "standin.py")
    process = subprocess.Popen(
        [sys.executable, "-B", program, "--port", "0", "--tls-port", "0", "--port-file", str(tmp_path / "ports"),
         "--ca-file", str(tmp_path / "ca.pem"), "--ledger", str(tmp_path / "ledger"), "--script", str(script),
         "--stream", "events:2", "--delivery-stream", "lake:DirectPut:ACTIVE", "--credential", "AK:S:T"],
        stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline().startswith("ready {")
        addresses = json.loads((tmp_path / "ports").read_text())
        kinesis = boto3.client("kinesis", endpoint_url=addresses["tls_url"], region_name="us-east-1",
                               aws_access_key_id="AK", aws_secret_access_key="S", aws_session_token="T",
                               verify=str(tmp_path / "ca.pem"), config=Config(retries={"total_max_attempts": 1}))
        with pytest.raises(ClientError, match="ProvisionedThroughputExceededException"):
            kinesis.put_record(StreamName="events", Data=b"x", PartitionKey="k")
        kinesis.put_record(StreamName="events", Data=b"x", PartitionKey="k")
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0
        assert len((tmp_path / "ledger").read_text().splitlines()) == 1
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
