"""Decodes a call's JSON and checks it against botocore's service models, with AWS's wording of violations.

Debian's botocore is older than some members of the API; PATCHES adds them to its models. A put call whose
shape is the ordinary one takes a short way (`decode_plain_records`) that accepts only what the models accept;
everything else, and everything wrong, goes through the models.
"""
from __future__ import annotations

import binascii
import datetime
import functools
import json
import re
from typing import Any

from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel, Shape
from botocore.validate import ParamValidator

from standin_errors import AwsError, constraint_error, too_long, violation

MAX_RECORDS = 500
MAX_KEY_CHARS = 256
KINESIS_DATA_MAX = 10 * 1024 * 1024
FIREHOSE_DATA_MAX = 1000 * 1024

STREAM_ARN = {"type": "string", "min": 1, "max": 2048, "pattern": r"arn:aws.*:kinesis:.*:\d{12}:stream/\S+"}
STREAM_ID = {"type": "string", "min": 1, "max": 24, "pattern": r"[a-z0-9]{20}-[a-z0-9]{3}"}
NAMED_BY_ARN = ("PutRecord", "PutRecords", "DescribeStream", "DescribeStreamSummary", "DeleteStream",
                "ListShards", "GetShardIterator", "GetRecords")
STREAM_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,128}")
DELIVERY_STREAM_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,64}")


def _patch_kinesis(model: dict) -> None:
    """Adds StreamARN, StreamId, DryRun and the present record limit to an older model."""
    shapes = model["shapes"]
    shapes["StreamARN"] = dict(STREAM_ARN)
    shapes["StreamId"] = dict(STREAM_ID)
    shapes["Data"]["max"] = KINESIS_DATA_MAX
    for operation in NAMED_BY_ARN:
        shape = shapes[model["operations"][operation]["input"]["shape"]]
        shape["members"].setdefault("StreamARN", {"shape": "StreamARN"})
        shape["members"].setdefault("StreamId", {"shape": "StreamId"})
        if "StreamName" in shape.get("required", []):
            shape["required"] = [name for name in shape["required"] if name != "StreamName"]
        if operation in ("PutRecord", "PutRecords"):
            shape["members"].setdefault("DryRun", {"shape": "BooleanObject"})


PATCHES = {"kinesis": _patch_kinesis, "firehose": lambda model: None, "sts": lambda model: None}
# Base64 of the standard alphabet, padded; anything else is a ValueError.
decode_blob = functools.partial(binascii.a2b_base64, strict_mode=True)

CHECKED_TYPES = {"string": str, "boolean": bool, "list": list, "structure": dict, "map": dict}


class Shapes:
    """The shapes of the services and the two ways of checking a call against them."""

    def __init__(self) -> None:
        loader = Loader()
        self._validator = ParamValidator()
        self._models: dict[str, ServiceModel] = {}
        for service, patch in PATCHES.items():
            model = json.loads(json.dumps(loader.load_service_model(service, "service-2")))
            patch(model)
            self._models[service] = ServiceModel(model, service)

    def operation(self, service: str, operation: str) -> OperationModel:
        return self._models[service].operation_model(operation)

    def decode(self, service: str, operation: str, body: bytes | bytearray) -> dict[str, Any]:
        """The call's parameters, blobs as bytes; raises AwsError for what the service would refuse."""
        raw = parse_json(body)
        return decode_plain_records(service, operation, raw) or self.decode_by_model(service, operation, raw)

    def decode_by_model(self, service: str, operation: str, raw: dict) -> dict[str, Any]:
        shape = self.operation(service, operation).input_shape
        violations: list[str] = []
        params = self._convert(raw, shape, "", violations)
        if violations:
            raise constraint_error(violations)
        report = self._validator.validate(params, shape)
        if report.has_errors():
            raise AwsError("ValidationException", report.generate_report())
        return params

    def _convert(self, value: Any, shape: Shape, path: str, violations: list[str]) -> Any:
        """One value turned into what botocore's validator takes, constraints checked on the way."""
        _check_type(value, shape, path)
        kind = shape.type_name
        if kind == "structure":
            return self._convert_structure(value, shape, path, violations)
        if kind == "list":
            _check_length(len(value), "'[...]'", shape, path, violations)
            return [self._convert(item, shape.member, f"{path}.{i}.member", violations)
                    for i, item in enumerate(value, 1)]
        if kind == "blob":
            return _convert_blob(value, shape, path, violations)
        if kind == "string":
            _check_string(value, shape, path, violations)
        elif kind in ("integer", "long"):
            _check_range(value, shape, path, violations)
        elif kind == "timestamp":
            return datetime.datetime.fromtimestamp(value, datetime.timezone.utc)
        return value

    def _convert_structure(self, value: dict, shape: Shape, path: str, violations: list[str]) -> dict:
        result = {}
        for name, member in value.items():
            if member is None:
                continue
            if name not in shape.members:
                raise AwsError("SerializationException", f"Unknown member '{name}' at '{path}'")
            result[name] = self._convert(member, shape.members[name], _member_path(path, name), violations)
        for name in shape.metadata.get("required", []):
            if name not in result:
                violations.append(violation("null", _member_path(path, name), "not be null"))
        return result


def parse_json(body: bytes | bytearray) -> dict:
    try:
        raw = json.loads(body)
    except (ValueError, RecursionError):
        raise AwsError("SerializationException", "Could not parse request body as JSON") from None
    if not isinstance(raw, dict):
        raise AwsError("SerializationException", "Start of structure or map found where not expected")
    return raw


def decode_plain_records(service: str, operation: str, raw: dict) -> dict[str, Any] | None:
    """The short way for batch puts: the parameters if each of them is surely valid, else None."""
    if service == "kinesis" and operation == "PutRecords":
        return _plain_put_records(raw)
    if service == "firehose" and operation == "PutRecordBatch":
        return _plain_put_record_batch(raw)
    return None


def _plain_put_records(raw: dict) -> dict[str, Any] | None:
    records = _plain_list(raw, "StreamName", STREAM_NAME)
    if records is None:
        return None
    decoded = []
    try:
        for record in records:
            data, key = decode_blob(record["Data"]), record["PartitionKey"]
            if (len(record) != 2 or type(key) is not str or not 0 < len(key) <= MAX_KEY_CHARS
                    or len(data) > KINESIS_DATA_MAX):
                return None
            decoded.append({"Data": data, "PartitionKey": key})
    except (KeyError, TypeError, ValueError):
        return None
    return {"StreamName": raw["StreamName"], "Records": decoded}


def _plain_put_record_batch(raw: dict) -> dict[str, Any] | None:
    records = _plain_list(raw, "DeliveryStreamName", DELIVERY_STREAM_NAME)
    if records is None:
        return None
    decoded = []
    try:
        for record in records:
            data = decode_blob(record["Data"])
            if len(record) != 1 or len(data) > FIREHOSE_DATA_MAX:
                return None
            decoded.append({"Data": data})
    except (KeyError, TypeError, ValueError):
        return None
    return {"DeliveryStreamName": raw["DeliveryStreamName"], "Records": decoded}


def _plain_list(raw: dict, name_member: str, pattern: re.Pattern) -> list | None:
    name, records = raw.get(name_member), raw.get("Records")
    if (len(raw) == 2 and type(name) is str and pattern.fullmatch(name)
            and type(records) is list and 0 < len(records) <= MAX_RECORDS):
        return records
    return None


def _member_path(path: str, name: str) -> str:
    name = name[0].lower() + name[1:]
    return f"{path}.{name}" if path else name


def _check_type(value: Any, shape: Shape, path: str) -> None:
    kind = shape.type_name
    if kind in CHECKED_TYPES:
        good = isinstance(value, CHECKED_TYPES[kind])
    elif kind == "blob":
        good = isinstance(value, str)
    elif kind in ("integer", "long"):
        good = isinstance(value, int) and not isinstance(value, bool)
    else:
        good = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not good:
        found = type(value).__name__
        raise AwsError("SerializationException", f"{found} value at '{path}' can not be converted to a {kind}")


def _convert_blob(value: str, shape: Shape, path: str, violations: list[str]) -> bytes:
    try:
        data = decode_blob(value)
    except ValueError as error:
        raise AwsError("SerializationException", f"Invalid base64 at '{path}': {error}") from None
    limit = shape.metadata.get("max")
    if limit is not None and len(data) > limit:
        violations.append(too_long(len(data), path, limit))
    return data


def _check_string(value: str, shape: Shape, path: str, violations: list[str]) -> None:
    shown = f"'{value}'"
    pattern = shape.metadata.get("pattern")
    if pattern and not re.fullmatch(pattern, value):
        violations.append(violation(shown, path, f"satisfy regular expression pattern: {pattern}"))
    allowed = shape.metadata.get("enum")
    if allowed and value not in allowed:
        violations.append(violation(shown, path, f"satisfy enum value set: [{', '.join(allowed)}]"))
    _check_length(len(value), shown, shape, path, violations)


def _check_length(length: int, shown: str, shape: Shape, path: str, violations: list[str]) -> None:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and length < least:
        violations.append(violation(shown, path, f"have length greater than or equal to {least}"))
    if most is not None and length > most:
        violations.append(violation(shown, path, f"have length less than or equal to {most}"))


def _check_range(value: int, shape: Shape, path: str, violations: list[str]) -> None:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and value < least:
        violations.append(violation(f"'{value}'", path, f"have value greater than or equal to {least}"))
    if most is not None and value > most:
        violations.append(violation(f"'{value}'", path, f"have value less than or equal to {most}"))
