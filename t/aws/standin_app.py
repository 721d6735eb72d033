"""The stand-in's front: takes a request through signature, shape, scripted faults and service to its reply."""
from __future__ import annotations

import base64
import json
import os
import re
import time
import uuid
from email.utils import formatdate
from typing import Callable

from standin_control import Control
from standin_errors import AwsError, not_found
from standin_faults import BATCH_OPERATIONS, CallView, FaultBook, Plan, Refusal
from standin_firehose import Firehose
from standin_http import Reply, Request
from standin_keys import KeyIssuer
from standin_kinesis import Kinesis
from standin_ledger import Call, Ledger
from standin_metadata import ContainerCredentials, InstanceMetadata
from standin_shapes import Shapes
from standin_sign import SignatureCheck
from standin_sts import Sts

STREAM_NAME = re.compile(rb'"(?:Delivery)?StreamName"\s*:\s*"([^"]*)"')
CONTENT_TYPE = "application/x-amz-json-1.1"
Service = Kinesis | Firehose
Side = Sts | InstanceMetadata | ContainerCredentials


class App:
    """The AWS of one account and region."""

    def __init__(self, kinesis: Kinesis, firehose: Firehose, signatures: SignatureCheck, ledger: Ledger,
                 faults: FaultBook, latency_ms: float) -> None:
        self.kinesis = kinesis
        self.firehose = firehose
        self.signatures = signatures
        self.ledger = ledger
        self.faults = faults
        self.latency_ms = latency_ms
        self.shapes = Shapes()
        self.keys = KeyIssuer(signatures.credentials)
        self.sts = Sts(kinesis.account, kinesis.region, signatures, self.shapes, self.keys)
        self.imds = InstanceMetadata(kinesis.region, self.keys)
        self.container = ContainerCredentials(kinesis.account, self.keys)
        self._sides: tuple[Side, ...] = (self.imds, self.container, self.sts)
        self.control: Control | None = None
        self.stop_accepting: Callable[[float, bool], None] = lambda seconds, drop: None
        self._id_2 = base64.b64encode(os.urandom(48)).decode()

    def head(self, request: Request) -> float | None:
        if request.path.startswith(Control.PREFIX):
            return None
        side = self._side(request)
        service, operation = self._target(request) if side is None else (side, side.operation(request))
        plan = self.faults.plan(CallView(service.name if service else "", operation), early=True)
        request.context = plan
        if plan.reset_at is not None:
            call = self._open_call(request, service, operation)
            call.rules = plan.rules
            self.ledger.finished(call, False)
        return plan.reset_at

    def handle(self, request: Request) -> Reply:
        if request.path.startswith(Control.PREFIX):
            return self.control.handle(request)
        side = self._side(request)
        if side is not None:
            return self._handle_side(side, request)
        service, operation = self._target(request)
        call = self._open_call(request, service, operation)
        call.rules = list(request.context.rules)
        now = time.time() + request.context.skew
        try:
            reply = self._serve(request, service, operation, call, now)
        except AwsError as error:
            reply = refusal_reply(Refusal(error.code, error.status, error.message), service, call)
        self._complete(reply, service, call, now)
        return reply

    def _handle_side(self, side: Side, request: Request) -> Reply:
        """A request to one of the places that give out keys."""
        call = self._open_call(request, side, side.operation(request))
        call.rules = list(request.context.rules)
        now = time.time() + request.context.skew
        try:
            reply = self._serve_side(side, request, call, now)
        except AwsError as error:
            reply = side.refuse(error.code, error.status, error.message, call)
        self._complete(reply, None, call, now)
        return reply

    def _serve_side(self, side: Side, request: Request, call: Call, now: float) -> Reply:
        answer = side.check(request, call, now)
        plan = self._plan(side, call.operation, call, [], len(request.body))
        if plan.refusal is not None:
            reply = side.refuse(plan.refusal.code, plan.refusal.status, plan.refusal.message, call)
        else:
            reply = answer() if plan.store else Reply()
        for edit in plan.edits:
            edit(reply)
        return reply

    def _serve(self, request: Request, service: Service | None, operation: str, call: Call, now: float) -> Reply:
        _check_request(request)
        if service is None:
            raise AwsError("UnknownOperationException", "")
        call.caller = self.signatures.check(request, service.name, now)
        if operation not in service.operations and operation not in service.put_operations:
            raise AwsError("UnknownOperationException", "")
        if self.ledger.keep == "count" and operation in BATCH_OPERATIONS and not self.faults.rules:
            return self._count(service, request.body, call)
        params = self.shapes.decode(service.name, operation, request.body)
        records = service.records_of(operation, params)
        call.stream = service.stream_name(params)
        call.records = len(records)
        call.bytes = sum(len(record["Data"]) for record in records)
        if operation in service.put_operations:
            service.check_put(operation, params)
        plan = self._plan(service, operation, call, records, len(request.body))
        reply = self._reply(service, operation, params, call, plan)
        for edit in plan.edits:
            edit(reply)
        return reply

    def _count(self, service: Service, body: bytearray, call: Call) -> Reply:
        """Takes a batch put for good, as benches need it: the stream must exist, the records are only counted."""
        named = STREAM_NAME.search(body)
        call.stream = named.group(1).decode() if named else ""
        if call.stream not in service.streams:
            raise not_found("Stream", call.stream, service.account)
        count = body.count(b'"Data"')
        call.bytes = len(body)
        self.ledger.counted(call, count)
        return Reply(body=service.counted_reply(count))

    def _plan(self, service: Service | Side, operation: str, call: Call, records: list[dict], size: int) -> Plan:
        if not self.faults.rules:
            return Plan()
        plan = self.faults.plan(CallView(service.name, operation, call.stream, records, size, self.kinesis.account,
                                         lambda: service.shard_indexes(call.stream, records)), early=False)
        call.rules += plan.rules
        if plan.stop_seconds is not None:
            self.stop_accepting(plan.stop_seconds, plan.stop_drops)
        return plan

    def _reply(self, service: Service, operation: str, params: dict, call: Call, plan: Plan) -> Reply:
        if plan.refusal is not None:
            return refusal_reply(plan.refusal, service, call)
        if not plan.store:
            return Reply()
        if operation not in service.put_operations:
            members = service.operations[operation](params)
            return Reply(body=b"" if members is None else json.dumps(members).encode())
        if plan.failures and call.records == 1 and operation == "PutRecord":
            code, message = plan.failures[0]
            status = 500 if code in ("InternalFailure", "ServiceUnavailableException") else 400
            return refusal_reply(Refusal(code, status, message), service, call)
        members = service.put(operation, params, call, plan.failures)
        self.ledger.stored(call)
        return Reply(body=json.dumps(members).encode())

    def _complete(self, reply: Reply, service: Service | None, call: Call, now: float) -> None:
        """The headers every answer has, the latency, and the note of how it ended."""
        call.status = reply.status
        call.request_id = str(uuid.uuid4())
        headers = {"x-amzn-RequestId": call.request_id}
        if service is self.kinesis:
            headers["x-amz-id-2"] = self._id_2
        reply.headers = {**headers, "Date": formatdate(now, usegmt=True), "Content-Type": CONTENT_TYPE,
                         **reply.headers}
        reply.delay += self.latency_ms / 1000
        reply.done = lambda delivered: self.ledger.finished(call, delivered)
        reply.unread = lambda: self.ledger.unread(call)

    def _open_call(self, request: Request, service: Service | Side | None, operation: str) -> Call:
        call = self.ledger.open_call(request.connection)
        call.service = service.name if service else ""
        call.operation = operation
        return call

    def _side(self, request: Request) -> Side | None:
        return next((side for side in self._sides if side.claims(request)), None)

    def _target(self, request: Request) -> tuple[Service | None, str]:
        prefix, _, operation = request.header("x-amz-target").partition(".")
        for service in (self.kinesis, self.firehose):
            if prefix == service.target:
                return service, operation
        return None, operation


def refusal_reply(refusal: Refusal, service: Service | None, call: Call) -> Reply:
    """An error in the form asked for; namespace True is the service's own."""
    call.code = refusal.code
    namespace = service.namespace if refusal.namespace is True and service else refusal.namespace
    kind = f"{namespace}#{refusal.code}" if namespace else refusal.code
    kind += refusal.suffix
    reply = Reply(status=refusal.status)
    if refusal.form in ("body", "both"):
        reply.body = json.dumps({"__type": kind, refusal.message_key: refusal.message}).encode()
    if refusal.form in ("header", "both"):
        reply.headers["x-amzn-ErrorType"] = kind
    return reply


def _check_request(request: Request) -> None:
    if request.method != "POST" or request.path != "/":
        raise AwsError("UnknownOperationException", "", 404)
    if request.header("content-type").partition(";")[0].strip().lower() != CONTENT_TYPE:
        raise AwsError("UnknownOperationException", "")
    if request.header("content-encoding"):
        raise AwsError("SerializationException", "Content-Encoding is not supported")
