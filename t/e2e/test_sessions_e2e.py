"""Sessions and ten-minute batches through several children at once, in and out of order, with children killed and the
server restarted in between: what leaves is what the model says, to the token, each once.

Every part of a session comes in over another child than the one before. Windows are long, so that none closes before
all of its parts are in, however slow the machine; then time passes by a change of the index.
"""
from __future__ import annotations

import http.client
import json
import os
import random
import re
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Callable, Iterator

import pytest

import ledger
from configs import SAMPLES, batch, connection, defaults, location, sample, unique
from httpd_server import SOURCE, Httpd, wait_until
from standin import StandIn
from windows_index import Index

sys.path.append(str(SOURCE / "t" / "model"))
import kf_model
import window_model

PARTS = ["session-part-1-start", "session-part-2-middle-uuid-only", "session-part-2-duplicate-upload",
         "session-part-3-id-only-then-login", "session-part-4-end", "session-part-5-straggler-after-end"]
SAMPLE_DEVICE = b"3fb44a79-df2d-446d-acf1-e87eda854ae1"
WEB_DEVICE = re.compile(rb'("mp_deviceid": *")[^"]*')
KINDS = {"S": "KinesisWaitForCompleteBatch On", "B": "KinesisSendAsBatch On"}
LONG_SECONDS = 3600
LIMITS = {"window": LONG_SECONDS * 10**6, "timeout": 2 * LONG_SECONDS * 10**6, "grace": LONG_SECONDS * 10**6, "ids": 0}
LINES = ("KinesisBatchWindow 1h", "KinesisSessionTimeout 2h", "KinesisSessionGrace 1h",
         "KinesisIncludeUserAttributeChangeEvents On", "KinesisIncludeUserIdentityChangeEvents On",
         "KinesisSendValidationResults On")
CHILDREN = {
    "event": "ServerLimit 3\nStartServers 3\nThreadsPerChild 8\nMaxRequestWorkers 24\nMinSpareThreads 24\n"
             "MaxSpareThreads 24",
    "prefork": "ServerLimit 4\nStartServers 4\nMinSpareServers 4\nMaxRequestWorkers 4",
}
LOG = 'LogFormat "%{remote}p %P" pids\nCustomLog logs/pids pids\nKeepAliveTimeout 60\n'


# ---------------------------------------------------------------- posts that go where they are meant to

class Spread:
    """Kept-alive connections to different children; posts take turns."""

    def __init__(self, server: Httpd, wanted: int = 2) -> None:
        self.server, self._wanted = server, wanted
        self.took: Counter[int] = Counter()  # posts, by child
        self.last = 0
        self._turn = 0
        self._by_child: dict[int, http.client.HTTPConnection] = {}

    def _connect(self) -> None:
        """Opens connections until so many children have one."""
        others = []

        def enough() -> bool:
            one = self.server.client.open()
            one.request("GET", "/nothing-here")
            one.getresponse().read()
            pid = wait_until(lambda: self._child_of(one.sock.getsockname()[1]), "a line in the access log")
            if pid in self._by_child or pid not in self.server.children():
                others.append(one)
            else:
                self._by_child[pid] = one
            return len(self._by_child) >= self._wanted

        wait_until(enough, f"connections to {self._wanted} children")
        for one in others:
            one.close()

    def _child_of(self, port: int) -> int | None:
        lines = (self.server.root / "logs" / "pids").read_text().splitlines()
        return next((int(line.split()[1]) for line in reversed(lines) if line.split()[0] == str(port)), None)

    def post(self, body: bytes) -> None:
        if len(self._by_child) < self._wanted:
            self._connect()
        self._turn += 1
        self.last = sorted(self._by_child)[self._turn % self._wanted]
        if not self._is_taken(self._by_child[self.last], body):
            # httpd closed a connection that was idle, as it may; what it may have taken all the same is a repeat.
            self.forget([self.last])
            self.post(body)
            return
        self.took[self.last] += 1

    @staticmethod
    def _is_taken(one: http.client.HTTPConnection, body: bytes) -> bool:
        try:
            one.request("POST", "/v2/events", body, {"Content-Type": "application/json"})
            answer = one.getresponse()
        except (http.client.RemoteDisconnected, ConnectionError):
            return False
        answer.read()
        assert answer.status == 202
        return True

    def kill_last(self) -> None:
        """Kills the child that took the last post, at once after its answer."""
        os.kill(self.last, signal.SIGKILL)
        self.forget([self.last])

    def forget(self, pids: list[int] | None = None) -> None:
        for pid in pids or list(self._by_child):
            self._by_child.pop(pid).close()


# ---------------------------------------------------------------- what is posted

def on_device(name: str, device: str) -> bytes:
    body = sample(name)
    assert SAMPLE_DEVICE in body
    return body.replace(SAMPLE_DEVICE, device.encode())


def web_session(device: str) -> list[bytes]:
    """A browser's session: uploads of a few events every five seconds, a login in between, the end by its beacon."""
    def of(mpid: str, *events: tuple[str, dict], uuid: str | None = "5B2C6B9E-6C3B-4F0B-9E53-0A7D2F4C1B11") -> bytes:
        made = []
        for kind, data in events:
            stamp["ms"] += 700
            made.append({"event_type": kind, "data": {"timestamp_unixtime_ms": stamp["ms"], "session_uuid": uuid,
                                                      "session_start_unixtime_ms": 1718000000000, **data}})
        return json.dumps({"source_request_id": unique("web"), "mpid": mpid, "timestamp_unixtime_ms": stamp["ms"],
                           "environment": "development", "events": made, "mp_deviceid": device, "sdk_version": "2.30.0",
                           "application_info": {"application_version": "9.1"}, "device_info": {"platform": "web"},
                           "user_attributes": {"last": stamp["ms"]},
                           "integration_attributes": {}}).encode()

    stamp = {"ms": 1718000000000}
    visitor, customer = "8412345678901234000", "-3171239846550123000"
    return [
        of(visitor, ("session_start", {}), ("application_state_transition",
                                            {"application_transition_type": "application_initialized"}),
           ("screen_view", {"screen_name": "Home"})),
        of(visitor, ("custom_event", {"event_name": "Searched", "custom_event_type": "search"})),
        of(customer, ("user_identity_change", {"new": {"identity_type": "customer_id", "identity": "c-1"}})),
        of(customer, ("commerce_event", {"product_action": {"action": "purchase", "transaction_id": "t-1"}}),
           ("user_attribute_change", {"user_attribute_name": "vip", "new": True, "old": None, "is_new_attribute": True})),
        of(customer, ("session_end", {"session_duration_ms": 4000})),
        of(customer, ("application_state_transition", {"application_transition_type": "application_background"}),
           uuid=None),
    ]


def recorded_web_sessions(device: str) -> list[list[bytes]]:
    """Those that the folder KF_EXTRA_SAMPLES holds, if any."""
    folder = os.environ.get("KF_EXTRA_SAMPLES")
    found = sorted(Path(folder).rglob("websdk-*-session")) if folder else []
    return [[WEB_DEVICE.sub(rb"\g<1>" + f"{device}-{number}".encode(), path.read_bytes())
             for path in sorted(session.glob("*.json"))] for number, session in enumerate(found)]


def shuffled(parts: list[bytes], seed: int) -> list[bytes]:
    return random.Random(seed).sample(parts, len(parts))


def devices() -> list[list[bytes]]:
    """For each of some devices what it posts, in the order of posting."""
    def session(name: str) -> list[bytes]:
        return [on_device(part, name) for part in PARTS]

    return [
        session("in-order"),
        session("reversed")[::-1],
        shuffled(session("shuffled-1"), 1),
        shuffled(session("shuffled-2"), 2),
        [on_device("session-part-1-start", "two"), on_device("two-sessions-one-batch", "two")],
        [on_device("two-sessions-one-batch", "two-late"), on_device("session-part-1-start", "two-late"),
         on_device("session-part-4-end", "two-late")],
        web_session("web"),
        shuffled(web_session("web-shuffled"), 3),
        *recorded_web_sessions("web-recorded"),
    ]


def rounds(queues: list[list[bytes]]) -> Iterator[list[bytes]]:
    """One post of every device, then the next of each: what is posted side by side is of different devices."""
    for number in range(max(map(len, queues))):
        yield [queue[number] for queue in queues if number < len(queue)]


# ---------------------------------------------------------------- what is expected

class Expected:
    """The model, fed as the server is; every post a moment after the one before."""

    def __init__(self, kind: str) -> None:
        self.windows = window_model.Windows(kind, **LIMITS)
        self._now = 10**6

    def post(self, body: bytes) -> None:
        self._now += 1000
        self.windows.post(body, self._now)

    def uploads(self) -> int:
        """In windows that are open."""
        return sum(len(window_model.without_repeats(window.uploads, lambda u: window_model.text_of(u, "source_request_id")))
                   for window in self.windows.open.values())

    def texts(self) -> list[str]:
        self.windows.close(None)
        return sorted(text for _, _, text in self.windows.left)


def whole(record: bytes) -> str:
    return kf_model.compact(record)


def content(text: bytes | str) -> str:
    """User, device and events of a record: what mParticle's envelope leaves as it is."""
    tree = kf_model.parse(text if isinstance(text, bytes) else text.encode())
    return "|".join(value.text() if (value := tree.get(name)) is not None else ""
                    for name in ("mpid", "mp_deviceid", "events"))


def wait_filed(server: Httpd, expected: Expected) -> None:
    index, wanted = Index(server), expected.uploads()
    wait_until(lambda: index.is_made() and index.uploads() == wanted, f"{wanted} uploads in windows")


def server_for(aws: StandIn, httpd: Callable[..., Httpd], kind: str, mpm: str, form: str) -> Httpd:
    server = httpd(defaults(aws.url) + connection("one", KINDS[kind], f"KinesisRecordFormat {form}", *LINES)
                   + location("/v2/events", "one") + LOG, mpm=mpm, mpm_lines=CHILDREN[mpm])
    server.allow("AH00052")
    return server


def wait_all(aws: StandIn, wanted: list[str], form: Callable[[bytes], str], once: Callable[[], list[bytes]]) -> None:
    wait_until(lambda: len(once()) >= len(wanted), f"{len(wanted)} records")
    assert sorted(map(form, once())) == wanted


# ---------------------------------------------------------------- the tests

@pytest.mark.parametrize("mpm,disturbance", [("event", "none"), ("event", "restart"), ("event", "graceful"),
                                             ("prefork", "restart")])
@pytest.mark.parametrize("kind", "SB")
def test_what_leaves_is_what_the_model_says(aws, httpd, kind, disturbance, mpm):
    server = server_for(aws, httpd, kind, mpm, "received")
    spread, expected = Spread(server), Expected(kind)
    for number, bodies in enumerate(rounds(devices())):
        for body in bodies:
            spread.post(body)
            expected.post(body)
        wait_filed(server, expected)
        if number == 2 and disturbance != "none":
            spread.forget()
            if disturbance == "restart":
                server.stop()
                server.start()
            else:
                old = server.children()
                server.graceful()
                server.wait_replaced(old)
    assert len(spread.took) >= 2
    spread.forget()
    Index(server).pass_time(3 * LONG_SECONDS)
    wait_all(aws, expected.texts(), whole, lambda: ledger.data(aws))
    server.stop()
    assert sorted(map(whole, ledger.data(aws))) == expected.texts()


@pytest.mark.parametrize("kind,mpm", [("S", "event"), ("B", "event"), ("S", "prefork")])
def test_killed_children_lose_and_repeat_nothing(aws, httpd, kind, mpm):
    """A child dies at once after its 202 in each round, and the one that leads as soon as windows close. A record may come
    again under its message_id only."""
    server = server_for(aws, httpd, kind, mpm, "outbound")
    spread, expected = Spread(server), Expected(kind)
    for bodies in rounds(devices()):
        for body in bodies:
            spread.post(body)
            expected.post(body)
        spread.kill_last()
        wait_filed(server, expected)
    assert len(spread.took) >= 3
    spread.forget()
    wanted = sorted(map(content, expected.texts()))
    before = len(ledger.data(aws))
    Index(server).pass_time(3 * LONG_SECONDS)
    wait_until(lambda: len(ledger.data(aws)) > before, "the first window to close")
    for pid in server.children():
        os.kill(pid, signal.SIGKILL)

    def once() -> list[bytes]:
        return list({json.loads(data)["message_id"]: data for data in ledger.data(aws)}.values())

    wait_all(aws, wanted, content, once)
    server.stop()
    assert sorted(map(content, once())) == wanted


def test_a_stop_leaves_windows_with_their_times(aws, httpd):
    server = server_for(aws, httpd, "B", "event", "outbound")
    index = Index(server)
    wait_until(index.is_made, "the index")
    for number in range(5):
        assert server.post("/v2/events", batch(mp_deviceid=f"device-{number}")).status == 202
    wait_until(lambda: index.uploads() == 5, "five windows")
    index.pass_time(LONG_SECONDS / 2)
    before = index.windows()
    server.graceful_stop()
    assert ledger.data(aws) == []
    assert index.windows() == before
    server.start()
    assert server.post("/v2/events", batch(mp_deviceid="device-0")).status == 202
    wait_until(lambda: index.uploads() == 6, "another upload")
    assert [(w.message_id, w.opened_us, w.due_us) for w in index.windows()] == [
        (w.message_id, w.opened_us, w.due_us) for w in before]
    index.pass_time(index.first_due_in() + 60)
    wait_until(lambda: len(ledger.data(aws)) == 5, "the windows to close")
    assert sorted(ledger.members(aws, "message_id")) == sorted(w.message_id for w in before)


def test_whether_somebody_is_anonymous_shows_in_the_merged_batch(aws, httpd):
    server = httpd(defaults(aws.url) + connection("one", "KinesisSendAnonymousUsers Off", *LINES)
                   + location("/v2/events", "one"))
    visitor, customer = batch(mp_deviceid="a"), batch(mp_deviceid="a", user_identities={"customer_id": "c-1"})
    for body in (visitor, customer, batch(mp_deviceid="b"), batch(mp_deviceid="b")):
        assert server.post("/v2/events", body).status == 202
    index = Index(server)
    wait_until(index.is_made, "the index")
    wait_until(lambda: index.uploads() == 4, "two windows")
    index.pass_time(3 * LONG_SECONDS)
    wait_until(lambda: not index.windows(), "the windows to close")
    server.stop()
    server.start()
    wait_until(lambda: ledger.members(aws, "mp_deviceid") == ["a"], "the record of the one who is known")
    assert len(json.loads(ledger.data(aws)[0])["events"]) == 2


def event(name: str, message_id: str) -> dict:
    return {"event_type": "custom_event", "data": {"event_name": name, "custom_event_type": "other",
                                                   "source_message_id": message_id}}


def test_repeats_count_once_in_a_window(aws, httpd):
    server = server_for(aws, httpd, "B", "event", "received")
    spread, request = Spread(server), unique()
    wait_filed(server, Expected("B"))
    for body in (batch(request, [event("one", "m-1"), event("two", "m-2")], mp_deviceid="d"),
                 batch(request, [event("lost", "m-3")], mp_deviceid="d"),
                 batch(None, [event("again", "m-2"), event("three", "m-4"), event("again", "m-4")], mp_deviceid="d"),
                 batch(request, [event("elsewhere", "m-1")], mp_deviceid="other")):
        before = Index(server).uploads()
        spread.post(body)
        if b"lost" not in body:
            wait_until(lambda: Index(server).uploads() > before, "the upload in its window")
    spread.forget()
    wait_until(lambda: Index(server).uploads() == 3, "three uploads in windows")
    Index(server).pass_time(3 * LONG_SECONDS)
    wait_until(lambda: len(ledger.data(aws)) == 2, "two records")
    named = {json.loads(data)["mp_deviceid"]: [e["data"]["event_name"] for e in json.loads(data)["events"]]
             for data in ledger.data(aws)}
    assert named == {"d": ["one", "two", "three"], "other": ["elsewhere"]}


@pytest.mark.parametrize("events,ballast,posts", [(4000, 0, 4), (1, 300_000, 4)])
def test_a_window_near_a_limit_closes_early(aws, httpd, events, ballast, posts):
    """Ten thousand events, or seven eighths of the record limit: what would go beyond opens another window."""
    server = server_for(aws, httpd, "B", "event", "received")
    small = [{"event_type": "opt_out"}] * events
    bodies = [batch(None, small, mp_deviceid="d", ballast="x" * ballast) for _ in range(posts)]
    for body in bodies:
        assert server.post("/v2/events", body).status == 202
    wait_until(lambda: len(ledger.data(aws)) == 1, "the first of two windows")
    index = Index(server)
    wait_until(lambda: sum(w.uploads for w in index.windows()) == 2 or events == 1, "the second window")
    index.pass_time(3 * LONG_SECONDS)
    wait_until(lambda: sum(len(json.loads(data)["events"]) for data in ledger.data(aws)) == posts * events, "all events")
    assert len(ledger.data(aws)) == 2


@pytest.mark.parametrize("others,half", [("", 8 << 20), (connection("other"), 4 << 20)], ids=["alone", "beside"])
def test_a_store_full_of_windows_empties_itself(aws, httpd, others, half):
    """AWS is away until senders are turned away: open windows leave the half of the connection's share that isn't theirs,
    and what was accepted leaves all the same afterwards, though there is no room for it."""
    server = httpd(defaults(aws.url) + connection("one", "KinesisRecordFormat received", *LINES) + others
                   + "KinesisStoreLimit 16M\n" + location("/v2/events", "one"))
    server.allow("KF0202", "KF0653", "KF0405", "KF0305")
    aws.stop_accepting(drop=True)
    posted: list[str] = []

    def is_full() -> bool:
        ids = [unique("full") for _ in range(100)]
        body = b"[" + b",".join(batch(i, mp_deviceid=i, ballast="x" * 1000) for i in ids) + b"]"
        status = server.post("/v2/events", body).status
        posted.extend(ids if status == 202 else [])
        return status == 503

    wait_until(is_full, "a 503")
    index = Index(server)
    wait_until(lambda: index.open_bytes() <= half, "open windows of half a share at most")
    aws.resume_accepting()
    wait_until(lambda: index.uploads() + len(ledger.data(aws)) >= len(posted), "all uploads in windows")
    index.pass_time(3 * LONG_SECONDS)
    ledger.assert_exactly(aws, posted)
