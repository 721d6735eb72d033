"""The trace itself: it finds what is missing, altered, there twice, or not to be there."""
from __future__ import annotations

import json

import pytest

import rawjson
from trace import ALTERED, FILTERED, MISSING, REPEATED, SAME, TWICE, UNASKED, Route, Trace, Upload

ENVELOPE = {"message_id": "4f0f6f8c-7c1b-4f0e-9d57-0d5f3c3ad0b1", "message_type": "events", "schema_version": 2}


def event(name: str, kind: str = "custom_event", time: int = 1) -> dict:
    return {"event_type": kind, "data": {"timestamp_unixtime_ms": time, "custom_attributes": {"kf_event": name}}}


def batch(request_id: str, *events: dict, **members: object) -> dict:
    return {"source_request_id": request_id, "mpid": "1", "timestamp_unixtime_ms": 5, "events": list(events), **members}


def upload(whole: dict) -> Upload:
    return Upload("one", "fetch", rawjson.parse(json.dumps(whole).encode()), 0, 10)


def record(whole: dict) -> bytes:
    return json.dumps({**whole, **ENVELOPE}).encode()


def trace(sent: list[dict], arrived: list[dict], mode: str = "each") -> Trace:
    dropped = frozenset({"user_attribute_change"})
    return Trace([upload(whole) for whole in sent],
                 [Route("reader", "stream", mode, dropped, ("one", ), [record(whole) for whole in arrived])])


def outcomes(found: Trace) -> list[str]:
    return [row["readers"].get(found.routes[0].name) for row in found.rows]


A, B = batch("a", event("1"), event("2", "screen_view")), batch("b", event("3", time=2), ip="127.0.0.1")
CHANGE = batch("c", event("4"), event("5", "user_attribute_change"))


@pytest.mark.parametrize("sent, arrived, want", [
    ([A, B], [A, B], [SAME] * 3),
    ([CHANGE], [batch("c", event("4"))], [SAME, FILTERED]),
])
def test_what_is_well_has_no_faults(sent, arrived, want):
    found = trace(sent, arrived)
    assert outcomes(found) == want and not found.faults


@pytest.mark.parametrize("arrived, want", [
    ([A], [SAME, SAME, MISSING]),
    ([A, batch("b", event("3", time=3), ip="127.0.0.1")], [SAME, SAME, ALTERED]),
    ([A, B, B], [SAME, SAME, TWICE]),
    ([A, batch("b", event("3", time=2), ip="127.0.0.2")], [SAME] * 3),
    ([A, batch("b", event("3", time=2))], [SAME] * 3),
    ([A, B, batch("a", event("never sent"))], [SAME] * 3),
    ([batch("a", event("1"), event("2", "screen_view"), event("3", time=2)), ], [SAME] * 3),
])
def test_what_is_wrong_is_a_fault(arrived, want):
    found = trace([A, B], arrived)
    assert outcomes(found) == want and found.faults


@pytest.mark.parametrize("mode, arrived, want", [
    ("each", [A, A], [REPEATED] * 2), ("each", [A], [MISSING] * 2), ("each", [A] * 3, [TWICE] * 2),
    ("window", [A], [SAME] * 2), ("window", [A, A], [TWICE] * 2)])
def test_what_was_accepted_twice_arrives_twice_but_out_of_a_window(mode, arrived, want):
    one = upload(A)
    one.times = 2
    found = Trace([one], [Route("reader", "stream", mode, frozenset(), ("one", ), [record(whole) for whole in arrived])])
    assert outcomes(found) == want and bool(found.faults) is not (want[0] in (SAME, REPEATED))


def test_what_is_filtered_must_not_arrive():
    found = trace([CHANGE], [CHANGE])
    assert outcomes(found) == [SAME, UNASKED] and found.faults


def merged(*events: dict, **members: object) -> dict:
    return batch("b", *events, ip="127.0.0.1", **members)


@pytest.mark.parametrize("arrived, faults", [
    (merged(event("1"), event("2", "screen_view"), event("3", time=2)), False),
    (merged(event("3", time=2), event("1"), event("2", "screen_view")), True),
    (batch("a", event("1"), event("2", "screen_view"), event("3", time=2)), True),
])
def test_of_a_window_the_newest_upload_has_the_say(arrived, faults):
    assert bool(trace([A, B], [arrived], "window").faults) is faults


def test_the_report_is_written(tmp_path):
    trace([A, B], [A]).write(tmp_path, {"a program": "1.2"})
    whole = json.loads((tmp_path / "trace.json").read_text())
    assert whole["summary"]["events"] == 3 and len(whole["faults"]) == 1
    assert "missing" in (tmp_path / "trace.txt").read_text()
