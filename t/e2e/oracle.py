"""What a record must be, worked out from what was posted independently of the module, to the token."""
from __future__ import annotations

import re
from typing import Iterable

import rawjson
from rawjson import Obj, Node

# Directive of a switch, and the event types that it drops when off.
SWITCHES = {
    "KinesisSendLifecycleEvents": {"session_start", "session_end", "application_state_transition", "first_run",
                                   "uninstall"},
    "KinesisSendScreenViews": {"screen_view"},
    "KinesisSendCrashEvents": {"crash_report", "breadcrumb"},
    "KinesisSendNetworkPerformanceEvents": {"network_performance"},
    "KinesisSendCustomEvents": {"custom_event"},
    "KinesisSendPushRegistrationsAndReceipts": {"push_registration", "push_message", "push_reaction"},
    "KinesisSendProfileChangeEvents": {"profile"},
    "KinesisSendCommerceEvents": {"commerce_event"},
    "KinesisIncludeUserAttributeChangeEvents": {"user_attribute_change"},
    "KinesisIncludeUserIdentityChangeEvents": {"user_identity_change"},
    "KinesisSendValidationResults": {"validation_result"},
}
OFF_BY_DEFAULT = {"KinesisIncludeUserAttributeChangeEvents", "KinesisIncludeUserIdentityChangeEvents",
                  "KinesisSendValidationResults"}
DROPPED_BY_DEFAULT = set().union(*(SWITCHES[name] for name in OFF_BY_DEFAULT))
# Types with a switch, and opt_out, which always goes; all others are KinesisSendOtherEvents'.
NAMED_TYPES = set().union(*SWITCHES.values()) | {"opt_out"}

UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
ENVELOPE = ("message_id", "message_type", "schema_version", "timestamp_unixtime_ms")


def batches(posted: bytes) -> list[Obj]:
    tree = rawjson.parse(posted)
    return tree if isinstance(tree, list) else [tree]


def event_type(event: Obj) -> str:
    return rawjson.plain(event.get("event_type"))


def event_types(record: bytes) -> list[str]:
    return [event_type(event) for event in rawjson.parse(record).get("events")]


def filtered(batch: Obj, dropped: Iterable[str] = DROPPED_BY_DEFAULT) -> Obj:
    """The batch as `received` forwards it with these types dropped and nothing else removed."""
    kept = Obj(list(batch.members))
    kept.drop("api_key", "api_keys")
    events = kept.get("events")
    if isinstance(events, list):
        kept.set("events", [event for event in events if event_type(event) not in dropped])
    return kept


def outbound_identities(identities: Node, time: bytes) -> Node:
    """An object of identities as the outbound array; anything else as it is."""
    if not isinstance(identities, Obj):
        return identities
    return [Obj([(b'"identity_type"', key), (b'"identity"', value), (b'"timestamp_unixtime_ms"', time)])
            for key, value in identities.members if value not in (b"null", b'""')]


def assert_received(record: bytes, expected: Obj) -> None:
    assert rawjson.tokens(record) == rawjson.tokens(rawjson.dump(expected))


def assert_outbound(record: bytes, expected: Obj, from_ms: int, to_ms: int) -> None:
    """The record is `expected` in outbound form: every token where it was, plus the envelope's members."""
    got = rawjson.parse(record)
    added = [name for name in ENVELOPE if name not in expected.names()]
    values = {name: got.get(name) for name in added}
    assert None not in values.values(), f"lacks {[name for name, value in values.items() if value is None]}"
    time = got.get("timestamp_unixtime_ms")
    want = Obj(list(expected.members))
    if "user_identities" in want.names():
        want.set("user_identities", outbound_identities(want.get("user_identities"), time))
    got.drop(*added)
    assert rawjson.tokens(rawjson.dump(got)) == rawjson.tokens(rawjson.dump(want))
    if "message_id" in values:
        assert UUID4.fullmatch(rawjson.plain(values["message_id"])), values["message_id"]
    assert values.get("message_type", b'"events"') == b'"events"'
    assert values.get("schema_version", b"2") == b"2"
    assert from_ms <= int(values.get("timestamp_unixtime_ms", from_ms)) <= to_ms
