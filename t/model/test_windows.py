# SPDX-License-Identifier: Apache-2.0
"""Compares windows with their model: what leaves, when, and each token of it.

KF_WINDOWS names the program (by default the build's), KF_EXTRA_SAMPLES a folder with more samples.
"""
import base64
import itertools
import json
import os
import pathlib
import random
import subprocess

import pytest
from hypothesis import given, settings, strategies as st

import kf_generate
import kf_model
import window_model

HERE = pathlib.Path(__file__).resolve().parent
WRITTEN = HERE.parent / "data" / "samples" / "written"
EXTRA = os.environ.get("KF_EXTRA_SAMPLES")
SECOND = 10**6
DEFAULTS = {"window": 600 * SECOND, "timeout": 35 * 60 * SECOND, "grace": 5 * SECOND, "ids": 1}


class Program:
    """The program under test, asked again and again."""

    def __init__(self):
        default = os.path.join(os.environ.get("KF_BUILDDIR", "."), "t", "model", "kf_windows")
        self.process = subprocess.Popen([os.environ.get("KF_WINDOWS", default)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, kind, limits, posts):
        head = "%s %d %d %d %d %d\n" % (kind, limits["window"], limits["timeout"], limits["grace"],
                                        limits["ids"], len(posts))
        self.process.stdin.write(head.encode() + b"".join(
            b"%d %d\n" % (now, len(body)) + body for now, body in posts))
        self.process.stdin.flush()
        return [(r["at"], r["window"], kf_model.compact(base64.b64decode(r["text"])))
                for r in json.loads(self.process.stdout.readline())]


@pytest.fixture(scope="module")
def program():
    p = Program()
    yield p
    p.process.stdin.close()
    assert p.process.wait(10) == 0


def compare(program, kind, limits, posts):
    got = program.ask(kind, limits, posts)
    want = window_model.expect(kind, posts=posts, **limits)
    for g, w in itertools.zip_longest(got, want):
        assert g == w
    return [(at, window, json.loads(text)) for at, window, text in got]


def sample(name):
    return (WRITTEN / (name + ".json")).read_bytes()


def every(seconds, bodies):
    return [(SECOND * (1000 + seconds * i), body) for i, body in enumerate(bodies)]


def names(batch):
    return [e["data"].get("event_name", e["event_type"]) for e in batch["events"]]


# ---------------------------------------------------------------- the written samples

PARTS = ["session-part-1-start", "session-part-2-middle-uuid-only", "session-part-2-duplicate-upload",
         "session-part-3-id-only-then-login", "session-part-4-end"]
STRAGGLER = "session-part-5-straggler-after-end"


def test_ids_of_samples():
    checked = 0
    for path in sorted(WRITTEN.glob("*.json")):
        text = json.loads(path.read_text())
        for batch in text if isinstance(text, list) else [text]:
            for event in batch.get("events") or []:
                data = event.get("data") or {}
                if data.get("session_id") and data.get("session_uuid"):
                    assert window_model.session_id(data["session_uuid"]) == str(data["session_id"])
                    checked += 1
    assert checked >= 10


def test_session(program):
    posts = every(1, map(sample, PARTS + [STRAGGLER]))
    left = compare(program, "S", DEFAULTS, posts)
    end = posts[4][0]
    assert [(at, window) for at, window, _ in left] == [(end + 5 * SECOND, True)] * 2
    assert names(left[0][2]) == ["session_start", "screen_view", "Tapped", "No session fields",
                                 "network_performance"]
    assert names(left[1][2]) == ["Id only", "session_end"]
    assert left[0][2]["mpid"] != left[1][2]["mpid"]


def test_session_late_straggler(program):
    posts = every(1, map(sample, PARTS)) + [(SECOND * 1100, sample(STRAGGLER))]
    left = compare(program, "S", DEFAULTS, posts)
    assert [names(b) for _, _, b in left][2] == ["network_performance"]
    assert left[2][0] == 1100 * SECOND + DEFAULTS["timeout"]


def test_session_in_any_order(program):
    limits = {**DEFAULTS, "grace": 60 * SECOND}
    for order in itertools.permutations(PARTS + [STRAGGLER]):
        left = compare(program, "S", limits, every(1, map(sample, order)))
        events = sorted(names(b) for _, _, b in left)
        assert events == [["Id only", "session_end"],
                          ["session_start", "screen_view", "Tapped", "No session fields",
                           "network_performance"]]


def test_two_sessions_in_one_batch(program):
    posts = every(1, map(sample, ["session-part-1-start", "two-sessions-one-batch"]))
    left = compare(program, "S", DEFAULTS, posts)
    assert [(at // SECOND, names(b)) for at, _, b in left] == [
        (1006, ["session_start", "screen_view", "Late in A", "session_end"]),
        (1001 + 35 * 60, ["session_start", "application_state_transition", "screen_view"])]


def test_late_start_ends_nothing_newer(program):
    """The older session's start comes after the newer session has begun."""
    def post(session, started):
        return json.dumps({"mp_deviceid": "d", "mpid": 1, "events": [
            {"event_type": "session_start",
             "data": {"session_id": session, "timestamp_unixtime_ms": started}}]}).encode()
    posts = every(1, [post(2, 1700000009000), post(1, 1700000001000)])
    left = compare(program, "S", DEFAULTS, posts)
    assert [at // SECOND for at, _, _ in left] == [1000 + 2100, 1001 + 2100]
    left = compare(program, "S", DEFAULTS, every(1, [p for _, p in reversed(posts)]))
    assert [at // SECOND for at, _, _ in left] == [1001 + 5, 1001 + 2100]


@pytest.mark.parametrize("kind", "BS")
@pytest.mark.parametrize("path", sorted(WRITTEN.glob("*.json")), ids=lambda p: p.stem)
def test_one_upload_keeps_its_tokens(program, kind, path):
    body = path.read_bytes()
    for ids in (0, 1):
        compare(program, kind, {**DEFAULTS, "ids": ids}, [(1, body)])
    left = program.ask("B", {**DEFAULTS, "ids": 0}, [(1, body)])
    if len(left) == 1 and body.lstrip().startswith(b"{"):
        assert left[0][2] == kf_model.compact(body)


@pytest.mark.parametrize("kind", "BS")
def test_all_samples(program, kind):
    folders = [WRITTEN] + ([pathlib.Path(EXTRA)] if EXTRA else [])
    paths = sorted(p for f in folders for p in f.rglob("*.json") if p.name != "index.json")
    for seconds in (0, 1, 700):
        compare(program, kind, DEFAULTS, every(seconds, [p.read_bytes() for p in paths]))


if EXTRA:
    def test_recorded_web_session(program):
        found = sorted(pathlib.Path(EXTRA).rglob("websdk-*-session"))
        assert found, "no recorded session among the extra samples"
        bodies = [p.read_bytes() for p in sorted(found[0].glob("*.json"))]
        events = [e for b in bodies for e in json.loads(b)["events"]]
        left = compare(program, "S", DEFAULTS, every(5, bodies))
        sessions = [b for _, window, b in left if window]
        assert len(sessions) == len({json.loads(b)["mpid"] for b in bodies[:10]}) == 2
        assert sum(len(b["events"]) for _, _, b in left) == len(events)
        assert sum(len(b["events"]) for b in sessions) == sum(
            len(json.loads(b)["events"]) for b in bodies[:10])
        assert [names(b) for _, window, b in left if not window] == [["application_state_transition"]]
        left = compare(program, "B", DEFAULTS, every(5, bodies))
        assert {at for at, _, _ in left} == {1600 * SECOND, 1025 * SECOND + 600 * SECOND}
        assert sum(len(b["events"]) for _, _, b in left) == len(events)


# ---------------------------------------------------------------- generated ones

UUIDS = ["84E1B361-A282-4ADF-8A6D-1D31E6DD5A9E", "8B8DFAA2-17C7-43E8-88EE-5F2DCF016D56",
         "odd \u00e9\u0131\U0001f600 uuid"]
STARTS = [1700000000000, 1700000500000, 1700000900000]


def session_fields(rng, n):
    """Ways to name session n, and not to name any."""
    uuid, start = UUIDS[n], STARTS[n]
    number = window_model.session_id(uuid)
    ways = [[("session_id", number)], [("session_id", '"%s"' % number)],
            [("session_uuid", kf_generate.string(rng, uuid))],
            [("session_uuid", kf_generate.string(rng, uuid if n == 2 else uuid.lower()))],
            [("session_id", "null"), ("session_uuid", kf_generate.string(rng, uuid))],
            [("session_id", "0"), ("session_uuid", '""'), ("session_start_unixtime_ms", str(start))],
            [("session_start_unixtime_ms", '"%d"' % start)],
            [("session_uuid", '"00000000-0000-0000-0000-000000000000"')],
            [("session_uuid", "null"), ("session_start_unixtime_ms", str(start))],
            [], [("session_id", kf_generate.scalar(rng))]]
    fields = rng.choice(ways[:5] if rng.random() < 0.7 else ways)
    if rng.random() < 0.5 and "session_start_unixtime_ms" not in dict(fields):
        fields = fields + [("session_start_unixtime_ms", str(rng.choice((start, start // 1000))))]
    return fields


def timestamp(rng):
    at = rng.choice(STARTS) + rng.randint(0, 5000)
    return rng.choice((str(at),) * 6 + ('"%d"' % at, str(at // 1000), "%d.%03d" % divmod(at, 1000),
                                        "%d.5" % at, "1.7e12", '"17000E8"', "99999999999.999"))


def event(rng, session):
    data = session_fields(rng, session)
    if rng.random() < 0.95:
        data.append(("timestamp_unixtime_ms", timestamp(rng) if rng.random() < 0.95
                     else kf_generate.scalar(rng)))
    if rng.random() < 0.7:
        data.append(("source_message_id", rng.choice(
            (kf_generate.string(rng, "m-%d" % rng.randint(0, 60)), str(rng.randint(1, 20)),
             '"%d"' % rng.randint(1, 20), "null", '""'))))
    data.append(("n", kf_generate.anything(rng, 2)))
    members = [("event_type", kf_generate.string(rng, rng.choice(
        ("custom_event",) * 8 + ("session_start", "session_end", "opt_out", "soon"))))]
    if rng.random() < 0.97:
        members.append(("data", kf_generate.obj(rng, data) if rng.random() < 0.97
                        else kf_generate.scalar(rng)))
    return kf_generate.obj(rng, members)


def attribute(rng):
    return rng.choice(("plan", "$city", "caf\u00e9", "a", "b"))


def optional_members(rng):
    def attributes(_):
        return kf_generate.some(rng, ["plan", "$city", "caf\u00e9", "a", "b"], kf_generate.scalar)

    def strings(_):
        return kf_generate.array(rng, (kf_generate.string(rng, attribute(rng)) if rng.random() < 0.9
                                       else kf_generate.scalar(rng) for _ in range(rng.randint(0, 4))))

    def notifications(_):
        return kf_generate.array(rng, (kf_generate.anything(rng) for _ in range(rng.randint(0, 2))))

    made = {"user_attributes": attributes, "deleted_user_attributes": strings,
            "system_notifications": notifications, "batch_id": kf_generate.scalar,
            "message_id": lambda r: r.choice(('"own"', "null")), "api_key": kf_generate.scalar,
            "context": kf_generate.anything, "future": kf_generate.anything,
            "f\u00fcr": kf_generate.anything, "api_keys": kf_generate.anything,
            "timestamp_unixtime_ms": timestamp, "ip": kf_generate.scalar,
            "user_identities": lambda r: kf_generate.some(
                r, ["email", "customerid", "odd"], kf_generate.scalar)}
    out = []
    for name in rng.sample(list(made), rng.randint(0, 7)):
        p = rng.random()
        out.append((name, "null" if p < 0.1 else kf_generate.scalar(rng) if p < 0.15
                    else made[name](rng)))
    return out


def upload(rng):
    members = optional_members(rng)
    p = rng.random()
    if p < 0.9:
        members.append(("mp_deviceid", rng.choice(('"d1"', '"d1"', '"d1"', '"d2"', '"\\u00641"',
                                                   "null", kf_generate.scalar(rng)))))
    if rng.random() < 0.9:
        members.append(("mpid", rng.choice(("11", "11", '"11"', "-9223372036854775808", "null", "0"))))
    if rng.random() < 0.2:
        members.append(("device_info", kf_generate.some(rng, kf_generate.DEVICE_NAMES,
                                                        kf_generate.scalar)))
    if rng.random() < 0.5:
        members.append(("environment", rng.choice(('"production"', '"production"', '"development"',
                                                   "null", '""'))))
    if rng.random() < 0.5:
        members.append(("source_request_id", rng.choice(
            (kf_generate.string(rng, "r-%d" % rng.randint(0, 30)), str(rng.randint(0, 9)), "null"))))
    session = rng.randrange(3)
    events = []
    for _ in range(rng.choice((0, 1, 1, 2, 3, 6))):
        if rng.random() < 0.2:
            session = rng.randrange(3)
        events.append(event(rng, session))
    if rng.random() < 0.97:
        members.append(("events", kf_generate.array(rng, events) if rng.random() < 0.97 else "null"))
    return kf_generate.obj(rng, members)


def posts_of(rng):
    now, out = 1000 * SECOND, []
    for _ in range(rng.randint(1, 14)):
        now += rng.choice((0, 0, SECOND, SECOND, 3 * SECOND, 5 * SECOND, 60 * SECOND, 2100 * SECOND,
                           20000 * SECOND))
        body = upload(rng)
        if rng.random() < 0.1:
            body = kf_generate.array(rng, [body] + [upload(rng) for _ in range(rng.randint(0, 3))])
        elif rng.random() < 0.1 and out:
            body = rng.choice(out)[1].decode()
        elif rng.random() < 0.05:
            body = kf_generate.post(rng)
        out.append((now, body.encode()))
    return out


@settings(max_examples=2500, derandomize=True, deadline=None, database=None)
@given(seed=st.integers(0, 2**40))
def test_generated(program, seed):
    rng = random.Random(seed)
    limits = {"window": rng.choice((SECOND, 600 * SECOND)), "ids": rng.randint(0, 1),
              "timeout": rng.choice((SECOND, 35 * 60 * SECOND, 100000 * SECOND)),
              "grace": rng.choice((0, 5 * SECOND, 5 * SECOND))}
    compare(program, rng.choice("BSS"), limits, posts_of(rng))


@pytest.mark.parametrize("sessions", [1, 127, 128, 129, 500])
def test_many_sessions(program, sessions):
    events = [{"event_type": "x", "data": {"session_id": 1 + i % sessions}} for i in range(2 * sessions)]
    body = json.dumps({"mpid": 5, "events": events}).encode()
    left = compare(program, "S", DEFAULTS, [(5, body)])
    assert len(left) == (sessions if sessions <= 128 else 1)
    assert all(window == (sessions <= 128) for _, window, _ in left)


@pytest.mark.parametrize("ballast,parts", [(50000, 100), (100000, 1)])
def test_much_repeated(program, ballast, parts):
    events = [{"event_type": "x", "data": {"session_id": 1 + i}} for i in range(100)]
    body = json.dumps({"mpid": 5, "events": events, "ballast": "x" * ballast}).encode()
    assert len(compare(program, "S", DEFAULTS, [(5, body)])) == parts


def test_endless_session(program):
    """A session that is never idle leaves once a day."""
    body = b'{"mpid":1,"mp_deviceid":"d","events":[{"event_type":"x","data":{"session_id":12345678}}]}'
    left = compare(program, "S", DEFAULTS, every(1800, [body] * 100))
    assert [len(b["events"]) for _, _, b in left] == [48, 48, 4]
    assert left[0][0] == (1000 + 24 * 3600) * SECOND
