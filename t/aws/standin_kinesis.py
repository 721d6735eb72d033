"""Kinesis Data Streams: streams with shards in memory, the put calls with their limits, and the reading calls."""
from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import json
import time
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import Any, Callable

from standin_errors import AwsError, constraint_error, in_use, invalid_argument, not_found, too_long
from standin_ledger import Call

KEY_SPACE = 1 << 128
CALL_BYTES = 10 * 1024 * 1024
DEFAULT_RECORD_KIB = 1024
READ_RECORDS = 10_000
READ_BYTES = 10 * 1024 * 1024
WRITABLE = ("ACTIVE", "UPDATING")
ON_DEMAND_SHARDS = 4

Failures = dict[int, tuple[str, str]]


@dataclass
class Shard:
    """A range of hash keys and its records, oldest first, as parallel lists."""
    index: int
    first_key: int
    last_key: int
    counters: list[int] = field(default_factory=list)
    data: list[bytes] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.id = f"shardId-{self.index:012d}"
        self._prefix = f"495469866831355442865074579363{self.index:06d}"

    def number(self, counter: int) -> str:
        return f"{self._prefix}{counter:020d}"

    def describe(self) -> dict[str, Any]:
        return {"ShardId": self.id,
                "HashKeyRange": {"StartingHashKey": str(self.first_key), "EndingHashKey": str(self.last_key)},
                "SequenceNumberRange": {"StartingSequenceNumber": self.number(0)}}


class Stream:
    """A stream and its shards, which divide the hash keys evenly."""

    def __init__(self, name: str, shards: int, status: str, on_demand: bool, max_record_kib: int) -> None:
        self.name = name
        self.status = status
        self.on_demand = on_demand
        self.max_record_bytes = max_record_kib * 1024
        self.created = time.time()
        self.starts = [i * KEY_SPACE // shards for i in range(shards)]
        self.shards = [Shard(i, start, end - 1)
                       for i, (start, end) in enumerate(zip(self.starts, self.starts[1:] + [KEY_SPACE]))]
        self.counter = 0

    def shard_of(self, key: str, explicit: str | None = None) -> Shard:
        if len(self.shards) == 1:
            return self.shards[0]
        if explicit is None:
            digest = hashlib.md5(key.encode("utf-8", "surrogatepass"), usedforsecurity=False).digest()
            point = int.from_bytes(digest, "big")
        else:
            point = int(explicit)
        return self.shards[bisect_right(self.starts, point) - 1]

    def shard_by_id(self, shard_id: str, account: str) -> Shard:
        for shard in self.shards:
            if shard.id == shard_id:
                return shard
        raise AwsError("ResourceNotFoundException",
                       f"Shard {shard_id} in stream {self.name} under account {account} does not exist")


class Kinesis:
    """The service: `call(operation, params, call, failures)` gives the reply's members or raises AwsError."""

    name = "kinesis"
    target = "Kinesis_20131202"
    namespace = "com.amazonaws.kinesis.v20131202"

    def __init__(self, account: str, region: str, keep_data: bool) -> None:
        self.account = account
        self.region = region
        self.keep_data = keep_data
        self.streams: dict[str, Stream] = {}
        self.operations: dict[str, Callable[[dict], dict | None]] = {
            "CreateStream": self._create, "DeleteStream": self._delete, "DescribeStream": self._describe,
            "DescribeStreamSummary": self._describe_summary, "ListStreams": self._list,
            "ListShards": self._list_shards, "GetShardIterator": self._get_iterator, "GetRecords": self._get_records}
        self.put_operations = ("PutRecord", "PutRecords")

    def add_stream(self, name: str, shards: int = 1, status: str = "ACTIVE", on_demand: bool = False,
                   max_record_kib: int = DEFAULT_RECORD_KIB) -> None:
        self.streams[name] = Stream(name, shards, status, on_demand, max_record_kib)

    def stream_name(self, params: dict) -> str:
        """The name of the stream a call is about, from its name or its ARN; "" where it names none."""
        arn = params.get("StreamARN")
        if arn is None:
            return params.get("StreamName", "")
        return arn.partition("/")[2]

    def records_of(self, operation: str, params: dict) -> list[dict]:
        if operation == "PutRecords":
            return params["Records"]
        return [params] if operation == "PutRecord" else []

    def shard_indexes(self, stream: str, records: list[dict]) -> list[int]:
        known = self.streams[stream]
        return [known.shard_of(r["PartitionKey"], r.get("ExplicitHashKey")).index for r in records]

    def check_put(self, operation: str, params: dict) -> None:
        """Refuses a put that breaks a limit or names no writable stream; a dry run ends here."""
        stream = self._stream(params)
        if stream.status not in WRITABLE:
            raise not_found("Stream", stream.name, self.account)
        records = self.records_of(operation, params)
        _check_records(records, operation, stream.max_record_bytes)
        if params.get("DryRun"):
            raise AwsError("DryRunOperationException", "The request would have succeeded, but DryRun is set.")

    def put(self, operation: str, params: dict, call: Call, failures: Failures) -> dict:
        stream = self._stream(params)
        now = time.time()
        entries = []
        for i, record in enumerate(self.records_of(operation, params)):
            if i in failures:
                code, message = failures[i]
                entries.append({"ErrorCode": code, "ErrorMessage": message})
                continue
            data, key = record["Data"], record["PartitionKey"]
            shard = stream.shard_of(key, record.get("ExplicitHashKey"))
            stream.counter += 1
            number = shard.number(stream.counter)
            if self.keep_data:
                shard.counters.append(stream.counter)
                shard.data.append(data)
                shard.keys.append(key)
                shard.times.append(now)
            call.accept(data, key, number)
            entries.append({"SequenceNumber": number, "ShardId": shard.id})
        if operation == "PutRecord":
            return {**entries[0], "EncryptionType": "NONE"}
        return {"FailedRecordCount": len(failures), "Records": entries, "EncryptionType": "NONE"}

    @functools.lru_cache(maxsize=None)
    def counted_reply(self, count: int) -> bytes:
        """A good answer for records that were only counted, the same for each call."""
        shard = Shard(0, 0, KEY_SPACE - 1)
        entries = [{"SequenceNumber": shard.number(i), "ShardId": shard.id} for i in range(1, count + 1)]
        return json.dumps({"FailedRecordCount": 0, "Records": entries, "EncryptionType": "NONE"}).encode()

    def _stream(self, params: dict) -> Stream:
        arn, name = params.get("StreamARN"), self.stream_name(params)
        if not name:
            raise invalid_argument("Either StreamName or StreamARN must be given.")
        if params.get("StreamName", name) != name:
            raise invalid_argument("StreamName and StreamARN do not name the same stream.")
        if "StreamId" in params:
            raise invalid_argument("StreamId is not supported.")
        if name not in self.streams or (arn is not None and arn != self._arn(name)):
            account = arn.split(":")[4] if arn else self.account
            raise not_found("Stream", name, account)
        return self.streams[name]

    def _arn(self, name: str) -> str:
        return f"arn:{partition_of(self.region)}:kinesis:{self.region}:{self.account}:stream/{name}"

    def _create(self, params: dict) -> None:
        name = params["StreamName"]
        if name in self.streams:
            raise in_use("Stream", name, self.account)
        on_demand = params.get("StreamModeDetails", {}).get("StreamMode") == "ON_DEMAND"
        if not on_demand and "ShardCount" not in params:
            raise AwsError("ValidationException", "ShardCount must be given for a provisioned stream.")
        self.add_stream(name, params.get("ShardCount", ON_DEMAND_SHARDS), on_demand=on_demand)

    def _delete(self, params: dict) -> None:
        del self.streams[self._stream(params).name]

    def _summary(self, stream: Stream) -> dict[str, Any]:
        return {"StreamName": stream.name, "StreamARN": self._arn(stream.name), "StreamStatus": stream.status,
                "StreamModeDetails": {"StreamMode": "ON_DEMAND" if stream.on_demand else "PROVISIONED"},
                "RetentionPeriodHours": 24, "StreamCreationTimestamp": stream.created,
                "EnhancedMonitoring": [{"ShardLevelMetrics": []}], "EncryptionType": "NONE"}

    def _describe(self, params: dict) -> dict:
        stream = self._stream(params)
        shards, more = _page(stream.shards, params.get("ExclusiveStartShardId"), params.get("Limit", 100))
        return {"StreamDescription": {**self._summary(stream), "Shards": [s.describe() for s in shards],
                                      "HasMoreShards": more}}

    def _describe_summary(self, params: dict) -> dict:
        stream = self._stream(params)
        return {"StreamDescriptionSummary": {**self._summary(stream), "OpenShardCount": len(stream.shards),
                                             "ConsumerCount": 0,
                                             "MaxRecordSizeInKiB": stream.max_record_bytes // 1024}}

    def _list(self, params: dict) -> dict:
        names = sorted(n for n in self.streams if n > params.get("ExclusiveStartStreamName", ""))
        limit = params.get("Limit", 100)
        return {"StreamNames": names[:limit], "HasMoreStreams": len(names) > limit}

    def _list_shards(self, params: dict) -> dict:
        if "NextToken" in params:
            name, start = _open_token(params["NextToken"], 2, "NextToken")
            stream = self._stream({"StreamName": name})
        else:
            stream, start = self._stream(params), params.get("ExclusiveStartShardId")
        shards, more = _page(stream.shards, start, params.get("MaxResults", 1000))
        reply: dict[str, Any] = {"Shards": [s.describe() for s in shards]}
        if more:
            reply["NextToken"] = _token(stream.name, shards[-1].id)
        return reply

    def _get_iterator(self, params: dict) -> dict:
        stream = self._stream(params)
        shard = stream.shard_by_id(params["ShardId"], self.account)
        return {"ShardIterator": _token(stream.name, shard.id, str(_position(shard, params)))}

    def _get_records(self, params: dict) -> dict:
        name, shard_id, start = _open_token(params["ShardIterator"], 3, "ShardIterator")
        shard = self._stream({"StreamName": name}).shard_by_id(shard_id, self.account)
        first = last = int(start)
        size = 0
        while last < len(shard.data) and last - first < params.get("Limit", READ_RECORDS):
            size += len(shard.data[last]) + len(shard.keys[last])
            if size > READ_BYTES and last > first:
                break
            last += 1
        records = [{"SequenceNumber": shard.number(shard.counters[i]), "ApproximateArrivalTimestamp": shard.times[i],
                    "Data": base64.b64encode(shard.data[i]).decode(), "PartitionKey": shard.keys[i],
                    "EncryptionType": "NONE"} for i in range(first, last)]
        behind = max(0.0, time.time() - shard.times[last]) if last < len(shard.times) else 0.0
        return {"Records": records, "NextShardIterator": _token(name, shard_id, str(last)),
                "MillisBehindLatest": int(behind * 1000)}


def partition_of(region: str) -> str:
    """The partition in the ARNs of a region."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def _check_records(records: list[dict], operation: str, limit: int) -> None:
    violations = []
    total = 0
    for i, record in enumerate(records, 1):
        size = len(record["Data"])
        with_key = size + len(record["PartitionKey"].encode("utf-8", "surrogatepass"))
        total += with_key
        if size > limit:
            path = f"records.{i}.member.data" if operation == "PutRecords" else "data"
            violations.append(too_long(size, path, limit))
        elif with_key > limit:
            raise invalid_argument(f"Record size including the partition key exceeds {limit} bytes")
        explicit = record.get("ExplicitHashKey")
        if explicit is not None and int(explicit) >= KEY_SPACE:
            raise invalid_argument(f"Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. "
                                   f"Specified value was {explicit}")
    if violations:
        raise constraint_error(violations)
    if total > CALL_BYTES:
        raise invalid_argument("Records size exceeds 10 MB limit")


def _page(shards: list[Shard], after: str | None, limit: int) -> tuple[list[Shard], bool]:
    rest = [s for s in shards if after is None or s.id > after]
    return rest[:limit], len(rest) > limit


def _position(shard: Shard, params: dict) -> int:
    """Where in the shard's lists an iterator of the wanted type starts."""
    kind = params["ShardIteratorType"]
    if kind == "TRIM_HORIZON":
        return 0
    if kind == "LATEST":
        return len(shard.data)
    if kind == "AT_TIMESTAMP":
        if "Timestamp" not in params:
            raise invalid_argument("Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP.")
        return bisect_left(shard.times, params["Timestamp"].timestamp())
    number = params.get("StartingSequenceNumber", "")
    if not number.isdigit():
        raise invalid_argument(f"StartingSequenceNumber {number} is not valid for iterator of type {kind}.")
    find = bisect_left if kind == "AT_SEQUENCE_NUMBER" else bisect_right
    return find(shard.counters, int(number[-20:]))


def _token(*parts: str) -> str:
    return base64.b64encode("\n".join(parts).encode()).decode()


def _open_token(token: str, count: int, member: str) -> list[str]:
    try:
        parts = base64.b64decode(token, validate=True).decode().split("\n")
    except (binascii.Error, UnicodeDecodeError):
        parts = []
    if len(parts) != count:
        raise invalid_argument(f"Invalid {member}.")
    return parts
