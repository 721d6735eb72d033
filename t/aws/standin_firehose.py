"""Amazon Data Firehose: delivery streams in memory and the put calls with their limits."""
from __future__ import annotations

import base64
import functools
import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Callable

from standin_errors import AwsError, in_use, invalid_argument, not_found
from standin_kinesis import Failures, partition_of
from standin_ledger import Call

CALL_BYTES = 4 * 1024 * 1024
DELETABLE = ("ACTIVE", "DELETING", "CREATING_FAILED", "DELETING_FAILED")
S3_CONFIGURATIONS = ("ExtendedS3DestinationConfiguration", "S3DestinationConfiguration")


@dataclass
class DeliveryStream:
    """A delivery stream; what it is given goes to the ledger and nowhere else."""
    name: str
    type: str = "DirectPut"
    status: str = "ACTIVE"
    destination: dict[str, Any] = field(default_factory=dict)
    created: float = field(default_factory=time.time)


class Firehose:
    """The service, with the same interface as Kinesis."""

    name = "firehose"
    target = "Firehose_20150804"
    namespace = "com.amazonaws.firehose.v20150804"

    def __init__(self, account: str, region: str) -> None:
        self.account = account
        self.region = region
        self.streams: dict[str, DeliveryStream] = {}
        self.operations: dict[str, Callable[[dict], dict | None]] = {
            "CreateDeliveryStream": self._create, "DeleteDeliveryStream": self._delete,
            "DescribeDeliveryStream": self._describe, "ListDeliveryStreams": self._list}
        self.put_operations = ("PutRecord", "PutRecordBatch")
        self._id_prefix = base64.b64encode(uuid.uuid4().bytes * 9).decode()
        self._count = 0

    def add_stream(self, name: str, type: str = "DirectPut", status: str = "ACTIVE",
                   destination: dict[str, Any] | None = None) -> None:
        self.streams[name] = DeliveryStream(name, type, status, destination or {})

    def stream_name(self, params: dict) -> str:
        return params.get("DeliveryStreamName", "")

    def records_of(self, operation: str, params: dict) -> list[dict]:
        if operation == "PutRecordBatch":
            return params["Records"]
        return [params["Record"]] if operation == "PutRecord" else []

    def shard_indexes(self, stream: str, records: list[dict]) -> list[int]:
        return [0] * len(records)

    def check_put(self, operation: str, params: dict) -> None:
        stream = self._stream(params)
        if stream.status != "ACTIVE":
            raise not_found("Firehose", stream.name, self.account)
        if stream.type != "DirectPut":
            raise invalid_argument(f"This operation is not permitted on {stream.type} delivery stream type.")
        if sum(len(record["Data"]) for record in self.records_of(operation, params)) > CALL_BYTES:
            raise invalid_argument("Records size exceeds 4 MB limit")

    def put(self, operation: str, params: dict, call: Call, failures: Failures) -> dict:
        entries = []
        for i, record in enumerate(self.records_of(operation, params)):
            if i in failures:
                code, message = failures[i]
                entries.append({"ErrorCode": code, "ErrorMessage": message})
                continue
            self._count += 1
            number = f"{self._id_prefix}{self._count:016d}"
            call.accept(record["Data"], None, number)
            entries.append({"RecordId": number})
        if operation == "PutRecord":
            return {**entries[0], "Encrypted": False}
        return {"FailedPutCount": len(failures), "Encrypted": False, "RequestResponses": entries}

    @functools.lru_cache(maxsize=None)
    def counted_reply(self, count: int) -> bytes:
        """A good answer for records that were only counted, the same for each call."""
        entries = [{"RecordId": f"{self._id_prefix}{i:016d}"} for i in range(1, count + 1)]
        return json.dumps({"FailedPutCount": 0, "Encrypted": False, "RequestResponses": entries}).encode()

    def _stream(self, params: dict) -> DeliveryStream:
        name = params["DeliveryStreamName"]
        if name not in self.streams:
            raise not_found("Firehose", name, self.account)
        return self.streams[name]

    def _arn(self, name: str) -> str:
        return f"arn:{partition_of(self.region)}:firehose:{self.region}:{self.account}:deliverystream/{name}"

    def _create(self, params: dict) -> dict:
        name = params["DeliveryStreamName"]
        if name in self.streams:
            raise in_use("Firehose", name, self.account)
        destination = next((params[key] for key in S3_CONFIGURATIONS if key in params), {})
        self.add_stream(name, params.get("DeliveryStreamType", "DirectPut"), destination=destination)
        return {"DeliveryStreamARN": self._arn(name)}

    def _delete(self, params: dict) -> None:
        stream = self._stream(params)
        if stream.status not in DELETABLE:
            raise AwsError("ResourceInUseException",
                           f"Firehose {stream.name} under account {self.account} is {stream.status}.")
        del self.streams[stream.name]

    def _describe(self, params: dict) -> dict:
        stream = self._stream(params)
        destination: dict[str, Any] = {"DestinationId": "destinationId-000000000001"}
        if stream.destination:
            destination["ExtendedS3DestinationDescription"] = stream.destination
        return {"DeliveryStreamDescription": {
            "DeliveryStreamName": stream.name, "DeliveryStreamARN": self._arn(stream.name),
            "DeliveryStreamStatus": stream.status, "DeliveryStreamType": stream.type,
            "DeliveryStreamEncryptionConfiguration": {"Status": "DISABLED"}, "VersionId": "1",
            "CreateTimestamp": stream.created, "Destinations": [destination], "HasMoreDestinations": False}}

    def _list(self, params: dict) -> dict:
        wanted = params.get("DeliveryStreamType")
        names = sorted(s.name for s in self.streams.values()
                       if s.name > params.get("ExclusiveStartDeliveryStreamName", "") and wanted in (None, s.type))
        limit = params.get("Limit", 10)
        return {"DeliveryStreamNames": names[:limit], "HasMoreDeliveryStreams": len(names) > limit}
