"""Real senders (mParticle's Web SDK in chromium, its server SDKs for Node and Python) and real readers (boto3, kinesalite,
kinesis-local, moto's Firehose and S3) on both sides of one httpd, which has the configurations of conf/.

All that was sent is traced to every reader; the account stands in the build folder, peers.build/trace.txt and .json."""
from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from collections import Counter
from typing import Iterator

import pytest

import oracle
import rawjson
import readers
from httpd_server import wait_until
from mparticle_stub import CUSTOMER, VISITOR
from peers_site import API_SECRET, BUILD, HERE, INSTALLED, KEY, NEWEST, PATIENCE, PINNED, RELEASES, Site, open_site
from trace import Route, Trace, key_of
from web_page import WebPage, ends, events_of

BOTH_CHANGES = ("KinesisIncludeUserAttributeChangeEvents On", "KinesisIncludeUserIdentityChangeEvents On")
# Of the Web SDK's location: as it comes, with the filters' defaults; Send as Batch; Wait for Complete Batch.
MODES = {
    "each": ("KinesisBatchWindow 0", ),
    "window": ("KinesisSendAsBatch On", "KinesisBatchWindow 5s", *BOTH_CHANGES),
    "complete": ("KinesisWaitForCompleteBatch On", "KinesisSessionGrace 3s", *BOTH_CHANGES),
    "server": ("KinesisBatchWindow 0", ),
}
WEB_MODES = ("each", "window", "complete")
WAYS = ("url", "domain")
# What mod_auth_basic says of names and passwords that are wrong.
REFUSED = ("AH01617", "AH01618")


# Which release of the Web SDK takes which of the ways: those of before 2.44 know no domain.
VISITS = [("url", NEWEST), ("domain", NEWEST), *(("domain" if release == "2.44.0" else "url", release) for release in RELEASES)]


def sender_of(way: str, release: str) -> str:
    return f"web-{way}" if release == NEWEST else f"web-{way}-{release}"


WEB_SENDERS = tuple(sender_of(*visit) for visit in VISITS)
OLDER_PYTHON = (HERE / "older-requirements.txt").read_text(encoding="utf-8").split()
SERVER_SDKS = {"node": "", "python": "", **{f"node-{name.removeprefix('mparticle-')}": name for name in PINNED if name.startswith("mparticle-")},
               **{f"python-{line.partition('==')[2]}": line for line in OLDER_PYTHON}}


def routes_of(site: Site) -> list[Route]:
    found = []
    for name in site.readers:
        for mode in MODES:
            dropped = frozenset() if mode in ("window", "complete") else frozenset(oracle.DROPPED_BY_DEFAULT)
            found.append(Route(name, mode, mode, dropped, tuple(SERVER_SDKS) if mode == "server" else WEB_SENDERS))
    return found


@pytest.fixture(scope="module")
def peers(tmp_path_factory) -> Iterator[dict]:
    found: dict = {}
    try:
        for name in readers.NAMES:
            found[name] = readers.start(name, INSTALLED, tmp_path_factory.mktemp("readers"), list(MODES))
        yield found
    finally:
        for reader in found.values():
            reader.close()


@pytest.fixture(scope="module")
def site(peers, module_httpd, tmp_path_factory) -> Iterator[Site]:
    yield from open_site(peers, module_httpd, tmp_path_factory.mktemp("tls"), MODES, ("server", ))


# Senders

@pytest.mark.parametrize("way, release", VISITS)
def test_the_web_sdk(site, browser, way, release):
    begun, sender = time.time(), sender_of(way, release)
    page = WebPage(browser, site, sender, way, release)
    for step in ("visit", "shop", "attributes"):
        page.do(f"kf.{step}()")
    assert page.do("return kf.login()") == CUSTOMER
    page.do("kf.optOut()")
    page.settle()
    page.leave()
    page.do("kf.shop()")
    assert page.do("return kf.logout()") == VISITOR
    assert page.do("return kf.preflighted()") == 202
    page.settle()
    page.do("kf.endSession(); kf.upload()")
    # A session that begins by itself after the end of the first, and is ended too.
    page.do("kf.visit(); kf.endSession(); kf.upload()")
    wait_until(lambda: ends(page.settle()) == 2, "two ends", PATIENCE)
    notes = page.end()
    assert {note["how"] for note in notes} == {"fetch", "beacon"}
    assert {note["status"] for note in notes} == {202, True}, Counter(note["status"] for note in notes)
    assert {note["type"].lower() for note in notes} == {"text/plain;charset=utf-8", "application/json"}
    path = "/v3/JS/" if way == "url" else "/webevents/v3/JS/"
    assert {note["url"].partition(site.host)[2] for note in notes if note["type"].startswith("text")} == \
        {f"{path}us1-0123456789abcdef/events"}
    kinds = {event["event_type"] for note in notes for event in events_of(note)}
    assert kinds >= {"session_start", "session_end", "screen_view", "custom_event", "commerce_event", "crash_report", "opt_out",
                     "application_state_transition", "user_attribute_change", "user_identity_change"}
    for note in notes:
        site.sent(sender, note["how"] if note["type"].startswith("text") else "fetch after a preflight", note["body"], begun)


def run_sdk(site: Site, sender: str, key: str, secret: str, name: str) -> list[dict]:
    """What the SDK's program says of each of its calls."""
    ca = str(site.server.root / "loopback.pem.crt")
    kind, _, release = sender.partition("-")
    if kind == "node":
        command = ["node", str(HERE / "send_node.js")]
        more = {"NODE_PATH": str(INSTALLED / "npm" / "node_modules"), "NODE_EXTRA_CA_CERTS": ca, "NODE_NO_WARNINGS": "1",
                "KF_SDK": SERVER_SDKS[sender] or "mparticle"}
    else:
        command = [str(INSTALLED / "venv" / "bin" / "python"), str(HERE / "send_python.py")]
        more = {"KF_CA": ca, **({"PYTHONPATH": str(INSTALLED / "venv" / "older" / release)} if release else {})}
    ended = subprocess.run([*command, f"https://127.0.0.1:{site.server.port}/v2", key, secret, name], capture_output=True,
                           text=True, env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **more}, timeout=PATIENCE)
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


@pytest.mark.parametrize("sender", SERVER_SDKS)
def test_a_server_sdk(site, sender):
    begun = time.time()
    calls = run_sdk(site, sender, KEY, API_SECRET, sender)
    assert [(call["path"], call["status"], call["answer"]) for call in calls] == \
        [("/events", 202, ""), ("/bulkevents", 202, "")]
    assert [len(oracle.batches(call["body"].encode())) for call in calls] == [1, 20]
    for call in calls:
        site.sent(sender, call["path"], call["body"], begun)


@pytest.mark.parametrize("sender", SERVER_SDKS)
@pytest.mark.parametrize("key, secret", [(KEY, "wrong"), ("nobody", API_SECRET)])
def test_a_server_sdk_with_a_wrong_secret_is_told_403(site, sender, key, secret):
    site.server.allow(*REFUSED)
    calls = run_sdk(site, sender, key, secret, f"{sender}-refused")
    assert [call["status"] for call in calls] == [403, 403]
    assert [json.loads(call["answer"])["errors"][0]["code"] for call in calls] == ["FORBIDDEN"] * 2


def test_a_node_sdk_without_a_secret_is_told_401(site):
    assert [call["status"] for call in run_sdk(site, "node", "-", "-", "node-refused")] == [401, 401]


@pytest.mark.parametrize("path", ["/v2/events", "/v2/bulkevents"])
@pytest.mark.parametrize("authorization, status", [
    (None, 401), ("", 401), ("Basic", 403), ("Bearer token", 403), ("Basic !!!", 403),
    ("Basic " + base64.b64encode(f"{KEY}:wrong".encode()).decode(), 403),
    ("Basic " + base64.b64encode(f"{KEY}:{API_SECRET}".encode()).decode(), 400)])
def test_the_codes_of_mparticle(site, path, authorization, status):
    """Who it is comes first; only then is a body that is no batch looked at."""
    site.server.allow(*REFUSED, "AH01614")
    headers = {"Content-Type": "application/json", **({"Authorization": authorization} if authorization is not None else {})}
    answer = site.request("POST", path, b"{}", headers)
    assert answer.status == status
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)


def test_a_preflight_needs_no_secret(site):
    answer = site.request("OPTIONS", "/v2/events", None, {"Origin": "https://a.example",
                                                           "Access-Control-Request-Method": "POST"})
    assert answer.status == 204


# Readers

def versions() -> dict[str, str]:
    locked = json.loads((HERE / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    pinned = dict(line.split("==") for line in (HERE / "requirements.txt").read_text(encoding="utf-8").split())
    npm = {f"{locked[f'node_modules/{name}'].get('name', name)} (npm)": "" for name in PINNED}
    for name in PINNED:
        one = locked[f"node_modules/{name}"]
        npm[f"{one.get('name', name)} (npm)"] += " " + one["version"]
    python = [pinned["mparticle"], *(line.partition("==")[2] for line in OLDER_PYTHON)]
    import boto3
    return {**{name: text.strip() for name, text in npm.items()}, "mparticle (PyPI)": " ".join(python), "moto": pinned["moto"], "boto3": boto3.__version__}


def distinct(records: list[bytes]) -> set[str]:
    return {key_of(event) for record in records for event in rawjson.parse(record).get("events")}


def test_every_event_reaches_every_reader(site, record_property):
    """The tests before this one have sent; nothing is missing, altered, or there twice."""
    assert {upload.sender for upload in site.uploads} == {*WEB_SENDERS, *SERVER_SDKS}, \
        "the senders' tests have to run before"
    routes = routes_of(site)
    for route in routes:
        wanted = {key for upload in site.uploads if upload.sender in route.senders
                  for event, key in zip(upload.batch.get("events"), upload.keys())
                  if oracle.event_type(event) not in route.dropped}

        def read() -> bool:
            route.records = site.readers[route.reader].read(route.stream)
            return wanted <= distinct(route.records)
        try:
            wait_until(read, f"{len(wanted)} events in {route.name}", PATIENCE)
        except AssertionError:
            pass  # The trace says which.
    site.wait_idle()
    for route in routes:
        route.records = site.readers[route.reader].read(route.stream)
    trace = Trace(site.uploads, routes)
    trace.write(BUILD, versions())
    record_property("numbers", json.dumps(trace.summary()["readers"]))
    assert not trace.faults, "\n".join(trace.faults[:40])
    assert_windows(site, routes)


def assert_windows(site: Site, routes: list[Route]) -> None:
    """Send as Batch made fewer records than came; a session's events of a user are one record, but for stragglers."""
    for route in routes:
        uploads = [upload for upload in site.uploads if upload.sender in route.senders]
        if route.mode == "window":
            assert len(route.records) < len(uploads) / 2
        if route.mode == "complete":
            homes: dict[tuple, set[int]] = {}
            for number, record in enumerate(route.records):
                whole = json.loads(record)
                for event in whole["events"]:
                    session = event["data"].get("session_uuid")
                    if session:
                        homes.setdefault((whole["mpid"], whole.get("mp_deviceid"), session), set()).add(number)
            assert [key for key, records in homes.items() if len(records) > 1] == []


def test_lines_of_the_lake_are_records(site):
    """Delimited, Firehose's objects hold a record a line; several records share an object."""
    lake = site.readers["moto"]
    lines = lake.read("server")
    assert len(lines) == 21 * len(SERVER_SDKS) and lake.objects < len(lines)
    assert all(isinstance(json.loads(line), dict) for line in lines)
