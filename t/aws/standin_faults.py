"""Scripted faults: rules that say which calls are hit, and the actions that say how.

A rule is {"id"?, "match"?: {...}, "count"?: n, "action": {"type": ..., ...}}. README.md lists the members.
Actions of the early stage act when a request's head has arrived, knowing only service and operation; the
others act on a verified and valid call. `FaultBook.plan` collects what all matching rules do to a call.
"""
from __future__ import annotations

import json
import random
import re
import time
from dataclasses import dataclass, field
from typing import Any, Callable

from standin_errors import constraint_error, violation
from standin_http import Reply

BATCH_OPERATIONS = ("PutRecords", "PutRecordBatch")
MATCH_MEMBERS = {"service", "operation", "stream", "nth", "every", "probability", "seed", "from_s", "until_s",
                 "contains", "partition_key"}
THROTTLES = {"kinesis": ("ProvisionedThroughputExceededException", 400, "Rate exceeded for stream {stream}."),
             "firehose": ("ServiceUnavailableException", 500, "Slow down."),
             "sts": ("Throttling", 400, "Rate exceeded"), "imds": ("Service Unavailable", 503, ""),
             "container": ("TooManyRequests", 429, "Rate exceeded")}
HTML = "<html><head><title>502 Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>"


@dataclass
class CallView:
    """What a rule can see of a call; an early one has neither stream nor records."""
    service: str
    operation: str
    stream: str = ""
    records: list[dict] = field(default_factory=list)
    size: int = 0
    account: str = ""
    shard_indexes: Callable[[], list[int]] = list


@dataclass
class Refusal:
    """An error that answers the call in the service's place, and the form it takes."""
    code: str
    status: int = 400
    message: str = ""
    form: str = "body"
    namespace: str = ""
    suffix: str = ""
    message_key: str = "message"


@dataclass
class Plan:
    """What the matching rules together do to one call."""
    rules: list[str] = field(default_factory=list)
    refusal: Refusal | None = None
    store: bool = True
    failures: dict[int, tuple[str, str]] = field(default_factory=dict)
    edits: list[Callable[[Reply], None]] = field(default_factory=list)
    skew: float = 0.0
    reset_at: float | None = None
    stop_seconds: float | None = None
    stop_drops: bool = False


@dataclass
class Action:
    """A kind of action: its options with their defaults, and `apply`, which is False where it does not concern
    the call. One that answers the call keeps other answering ones from acting."""
    apply: Callable[[Plan, dict, CallView, Rule], bool]
    options: dict[str, Any] = field(default_factory=dict)
    answers: bool = True


class Rule:
    """One scripted fault with its counters."""

    def __init__(self, number: int, spec: dict[str, Any]) -> None:
        _only(spec, {"id", "match", "count", "action"}, "rule")
        self.spec = spec
        self.id = str(spec.get("id", f"rule-{number}"))
        self.match = spec.get("match", {})
        _only(self.match, MATCH_MEMBERS, "match")
        options = dict(spec["action"])
        kind = options.pop("type", None)
        if kind not in ACTIONS:
            raise ValueError(f"unknown action type {kind!r}; known are {', '.join(sorted(ACTIONS))}")
        self.kind = kind
        self.action = ACTIONS[kind]
        _only(options, set(self.action.options), f"action {kind}")
        self.options = {**self.action.options, **options}
        missing = [name for name, value in self.options.items() if value is REQUIRED]
        if missing:
            raise ValueError(f"action {kind} needs {', '.join(missing)}")
        self.early = kind == "skew" or (kind == "reset" and self.options["when"] in ("before_reading", "reading"))
        if self.early and {"stream", "contains", "partition_key"} & set(self.match):
            raise ValueError("a rule that acts before the body is read can match by service and operation only")
        self.left = spec.get("count")
        self.random = random.Random(self.match.get("seed", 0))
        self.added = time.monotonic()
        self.seen = 0
        self.hits = 0
        self.tokens: dict[int, tuple[float, float]] = {}

    def matches(self, view: CallView) -> bool:
        if self.left == 0 or not self._in_window() or not self._fits(view):
            return False
        self.seen += 1
        match = self.match
        if "nth" in match and self.seen not in _as_list(match["nth"]):
            return False
        if "every" in match and self.seen % match["every"]:
            return False
        return "probability" not in match or self.random.random() < match["probability"]

    def hit(self) -> None:
        self.hits += 1
        if self.left is not None:
            self.left -= 1

    def as_dict(self) -> dict[str, Any]:
        return {**self.spec, "id": self.id, "seen": self.seen, "hits": self.hits, "left": self.left}

    def _in_window(self) -> bool:
        age = time.monotonic() - self.added
        return self.match.get("from_s", 0) <= age < self.match.get("until_s", float("inf"))

    def _fits(self, view: CallView) -> bool:
        match = self.match
        for name in ("service", "operation", "stream"):
            if name in match and getattr(view, name) not in _as_list(match[name]):
                return False
        if "contains" in match and not _containing(view, match["contains"]):
            return False
        return "partition_key" not in match or any(r.get("PartitionKey") == match["partition_key"]
                                                   for r in view.records)


class FaultBook:
    """The rules in force, in the order they were added."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self._added = 0

    def add(self, spec: dict[str, Any]) -> str:
        self._added += 1
        rule = Rule(self._added, spec)
        self.rules = [r for r in self.rules if r.id != rule.id] + [rule]
        return rule.id

    def remove(self, rule_id: str) -> bool:
        kept = [rule for rule in self.rules if rule.id != rule_id]
        found = len(kept) < len(self.rules)
        self.rules = kept
        return found

    def clear(self) -> None:
        self.rules = []

    def plan(self, view: CallView, early: bool) -> Plan:
        plan = Plan()
        answered = False
        for rule in self.rules:
            if rule.early != early or (answered and rule.action.answers) or not rule.matches(view):
                continue
            if rule.action.apply(plan, rule.options, view, rule):
                rule.hit()
                plan.rules.append(rule.id)
                answered = answered or rule.action.answers
        return plan


def _error(plan: Plan, options: dict, view: CallView, rule: Rule) -> bool:
    plan.refusal = Refusal(**options)
    return True


def _throttle(plan: Plan, options: dict, view: CallView, rule: Rule) -> bool:
    code, status, message = THROTTLES[view.service]
    plan.refusal = Refusal(code, status, message.format(stream=view.stream))
    return True


def _rate_limit(plan: Plan, options: dict, view: CallView, rule: Rule) -> bool:
    code, _, message = THROTTLES[view.service]
    message = message.format(stream=view.stream)
    shards = view.shard_indexes() if options["per_shard"] else [0] * len(view.records)
    over = [i for i, shard in enumerate(shards) if not _take_token(rule, shard, options["records_per_second"])]
    plan.failures.update({i: (code, message) for i in over})
    return bool(over)


def _take_token(rule: Rule, shard: int, rate: float) -> bool:
    """One record out of a bucket that holds a second's worth."""
    now = time.monotonic()
    tokens, filled = rule.tokens.get(shard, (rate, now))
    tokens = min(rate, tokens + (now - filled) * rate)
    taken = tokens >= 1
    rule.tokens[shard] = (tokens - taken, now)
    return taken


def _fail_records(plan: Plan, options: dict, view: CallView, rule: Rule) -> bool:
    default = THROTTLES[view.service]
    outcome = (options["code"] or default[0], options["message"] or default[2].format(stream=view.stream))
    chosen = set(range(len(view.records)))
    if options["indexes"] is not None:
        chosen &= set(options["indexes"])
    if options["contains"] is not None:
        chosen &= set(_containing(view, options["contains"]))
    if options["partition_key"] is not None:
        chosen &= {i for i, r in enumerate(view.records) if r.get("PartitionKey") == options["partition_key"]}
    if options["fraction"] is not None:
        chosen = {i for i in sorted(chosen) if rule.random.random() < options["fraction"]}
    plan.failures.update({i: outcome for i in chosen})
    return bool(chosen)


def _access_denied(plan: Plan, options: dict, view: CallView, rule: Rule) -> bool:
    if options["batch_only"] and view.operation not in BATCH_OPERATIONS:
        return False
    permission = f"{view.service}:{view.operation}"
    plan.refusal = Refusal("AccessDeniedException", options["status"],
                           f"User: arn:aws:iam::{view.account}:user/sender is not authorized to perform: {permission} "
                           f"because no identity-based policy allows the {permission} action", message_key="Message")
    return True


def _expired_token(plan: Plan, options: dict, view: CallView, rule: Rule) -> bool:
    plan.refusal = Refusal("ExpiredTokenException", 400, "The security token included in the request is expired")
    return True


def _poison(plan: Plan, options: dict, view: CallView, rule: Rule) -> bool:
    found = _containing(view, options["contains"])
    if not found:
        return False
    message = options["message"]
    if message is None and options["index"]:
        message = constraint_error([violation("'java.nio.HeapByteBuffer[...]'", _data_path(view, found[0]),
                                              "have length less than or equal to 1048576")]).message
    plan.refusal = Refusal(options["code"], 400, message or "One or more parameters are not valid.")
    return True


def _data_path(view: CallView, index: int) -> str:
    if view.operation in BATCH_OPERATIONS:
        return f"records.{index + 1}.member.data"
    return "data" if view.service == "kinesis" else "record.data"


def _too_large(plan: Plan, options: dict, view: CallView, rule: Rule) -> bool:
    if view.size <= options["over_bytes"]:
        return False
    plan.refusal = Refusal("RequestEntityTooLargeException", 413, "Request entity too large", form=options["form"])
    return True


def _delay(plan: Plan, options: dict, view: CallView, rule: Rule) -> bool:
    def edit(reply: Reply) -> None:
        reply.delay += options["before_ms"] / 1000
        reply.piece = options["piece"]
        reply.piece_delay = options["between_ms"] / 1000
    plan.edits.append(edit)
    return True


def _hang(plan: Plan, options: dict, view: CallView, rule: Rule) -> bool:
    return _spoil(plan, options["store"], end="hang")


def _reset(plan: Plan, options: dict, view: CallView, rule: Rule) -> bool:
    when = options["when"]
    if rule.early:
        plan.reset_at = 0.0 if when == "before_reading" else options["at"]
        return True
    return _spoil(plan, True, end="reset", cut=options["at"] if when == "in_reply" else 0.0)


def _truncate(plan: Plan, options: dict, view: CallView, rule: Rule) -> bool:
    def edit(reply: Reply) -> None:
        reply.cut, reply.end, reply.lost = options["at"], options["end"], True
    plan.store = options["store"]
    plan.edits.append(edit)
    return True


def _html(plan: Plan, options: dict, view: CallView, rule: Rule) -> bool:
    return _spoil(plan, options["store"], status=options["status"], body=options["body"].encode(),
                  headers={"Content-Type": "text/html"})


def _body(plan: Plan, options: dict, view: CallView, rule: Rule) -> bool:
    return _spoil(plan, options["store"], status=options["status"], body=options["body"].encode(),
                  headers={"Content-Type": options["content_type"]})


def _rewrite(plan: Plan, options: dict, view: CallView, rule: Rule) -> bool:
    pattern = re.compile(options["pattern"].encode(), re.DOTALL)

    def edit(reply: Reply) -> None:
        reply.lost = True
        reply.body = pattern.sub(options["with"].encode(), reply.body)
    plan.edits.append(edit)
    return True


def _redirect(plan: Plan, options: dict, view: CallView, rule: Rule) -> bool:
    return _spoil(plan, False, status=options["status"], body=b"", headers={"Location": options["location"]})


def _endless(plan: Plan, options: dict, view: CallView, rule: Rule) -> bool:
    return _spoil(plan, options["store"], body=b"x" * options["piece"], endless=True, piece=options["piece"],
                  piece_delay=options["between_ms"] / 1000)


def _empty(plan: Plan, options: dict, view: CallView, rule: Rule) -> bool:
    return _spoil(plan, options["store"], status=options["status"], body=b"")


def _spoil(plan: Plan, store: bool, **changes: Any) -> bool:
    """The answer does not arrive as the service made it."""
    def edit(reply: Reply) -> None:
        reply.lost = True
        for name, value in changes.items():
            setattr(reply, name, value)
    plan.store = store
    plan.edits.append(edit)
    return True


def _oversized(plan: Plan, options: dict, view: CallView, rule: Rule) -> bool:
    def edit(reply: Reply) -> None:
        reply.lost = True
        reply.body = reply.body[:-1] + b',"Padding":"' + b"x" * options["bytes"] + b'"}'
    plan.edits.append(edit)
    return True


def _wrong_count(plan: Plan, options: dict, view: CallView, rule: Rule) -> bool:
    if view.operation not in BATCH_OPERATIONS:
        return False

    def edit(reply: Reply) -> None:
        reply.lost = True
        reply.body = _resize_entries(reply.body, options["delta"])
    plan.edits.append(edit)
    return True


def _resize_entries(body: bytes, delta: int) -> bytes:
    members = json.loads(body)
    name = "Records" if "Records" in members else "RequestResponses"
    entries = members.get(name, [])
    members[name] = entries[:delta] if delta < 0 else entries + entries[-1:] * delta
    return json.dumps(members).encode()


def _skew(plan: Plan, options: dict, view: CallView, rule: Rule) -> bool:
    plan.skew += options["seconds"]
    return True


def _stop_accepting(plan: Plan, options: dict, view: CallView, rule: Rule) -> bool:
    plan.stop_seconds, plan.stop_drops = options["seconds"], options["drop"]
    return True


REQUIRED = object()
ACTIONS: dict[str, Action] = {
    "error": Action(_error, {"code": REQUIRED, "status": 400, "message": "", "form": "body", "namespace": "",
                             "suffix": "", "message_key": "message"}),
    "throttle": Action(_throttle),
    "rate_limit": Action(_rate_limit, {"records_per_second": REQUIRED, "per_shard": False}, answers=False),
    "fail_records": Action(_fail_records, {"code": None, "message": None, "fraction": None, "indexes": None,
                                           "contains": None, "partition_key": None}, answers=False),
    "access_denied": Action(_access_denied, {"batch_only": False, "status": 400}),
    "expired_token": Action(_expired_token),
    "poison": Action(_poison, {"contains": REQUIRED, "code": "ValidationException", "index": True,
                               "message": None}),
    "too_large": Action(_too_large, {"over_bytes": 0, "form": "body"}),
    "delay": Action(_delay, {"before_ms": 0, "between_ms": 0, "piece": 1}, answers=False),
    "hang": Action(_hang, {"store": False}),
    "reset": Action(_reset, {"when": "after_record", "at": 0.5}),
    "truncate": Action(_truncate, {"at": 0.5, "end": "close", "store": True}),
    "html": Action(_html, {"status": 502, "body": HTML, "store": False}),
    "body": Action(_body, {"body": REQUIRED, "status": 200, "content_type": "application/json", "store": False}),
    "rewrite": Action(_rewrite, {"pattern": REQUIRED, "with": ""}),
    "redirect": Action(_redirect, {"location": REQUIRED, "status": 307}),
    "endless": Action(_endless, {"piece": 65536, "between_ms": 0, "store": False}),
    "empty": Action(_empty, {"status": 200, "store": True}),
    "oversized": Action(_oversized, {"bytes": 64 * 1024 * 1024}),
    "wrong_count": Action(_wrong_count, {"delta": -1}),
    "skew": Action(_skew, {"seconds": REQUIRED}, answers=False),
    "stop_accepting": Action(_stop_accepting, {"seconds": 1.0, "drop": False}, answers=False),
}


def _containing(view: CallView, text: str) -> list[int]:
    """The indexes of the records whose data contains the text."""
    wanted = text.encode()
    return [i for i, record in enumerate(view.records) if wanted in record["Data"]]


def _as_list(value: Any) -> list:
    return value if isinstance(value, list) else [value]


def _only(members: dict, known: set[str], where: str) -> None:
    unknown = set(members) - known
    if unknown:
        raise ValueError(f"{where}: unknown member {', '.join(sorted(unknown))}")
