"""Real senders (mParticle's Web SDK in chromium, its server SDKs for Node and Python) and real readers (boto3, kinesalite,
kinesis-local, moto's Firehose and S3) on both sides of one httpd, which has the configurations of conf/.

All that was sent is traced to every reader; the account stands in the build folder, peers.build/trace.txt and .json."""
from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterator

import pytest

import oracle
import rawjson
import readers
from browser import Browser
from configs import batch, connection, defaults, section
from httpd_server import DEADLINE, SOURCE, Httpd, wait_until
from mparticle_stub import CUSTOMER, VISITOR, Stub, make_certificate
from trace import Route, Trace, Upload

HERE = Path(__file__).resolve().parent
BUILD = Path(os.environ.get("KF_BUILDDIR") or SOURCE) / "peers.build"
INSTALLED = BUILD
PATIENCE = 3 * DEADLINE
KEY, API_SECRET = "us1-key", "api-secret-of-the-tests"
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
MODULES = ("ssl", "http2", "socache_shmcb", "proxy", "proxy_http", "deflate", "asis", "alias", "setenvif", "filter")
# What mod_auth_basic says of names and passwords that are wrong.
REFUSED = ("AH01617", "AH01618")


def connection_name(reader: str, mode: str) -> str:
    return f"{reader}-{mode}"


def example(name: str, names: list[str], **replaced: str) -> str:
    """A configuration of conf/ as it stands there, but for names of connections, files and hosts."""
    text = (SOURCE / "conf" / name).read_text(encoding="utf-8")
    text, count = re.subn(r"(KinesisForward +)all-events analytics", lambda m: m[1] + " ".join(names), text)
    assert count, f"{name} feeds no connection"
    for old, new in replaced.values():
        assert old in text, f"{name} lacks {old}"
        text = text.replace(old, new)
    return text


@dataclass
class Site:
    server: Httpd
    stub: Stub
    readers: dict[str, readers.KinesisReader | readers.LakeReader]
    uploads: list[Upload] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    def routes(self) -> list[Route]:
        found = []
        for name in self.readers:
            for mode in MODES:
                dropped = frozenset() if mode in ("window", "complete") else frozenset(oracle.DROPPED_BY_DEFAULT)
                senders = ("node", "python") if mode == "server" else tuple(f"web-{way}" for way in WAYS)
                found.append(Route(name, mode, mode, dropped, senders))
        return found

    def sent(self, sender: str, how: str, body: str | bytes, begun: float) -> None:
        """Notes what was accepted."""
        text = body.encode() if isinstance(body, str) else body
        self.uploads += [Upload(sender, how, one, int(begun * 1000), int(time.time() * 1000))
                         for one in oracle.batches(text)]


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
    certificate = make_certificate(tmp_path_factory.mktemp("tls"))
    sdk = INSTALLED / "npm" / "node_modules" / "@mparticle" / "web-sdk" / "dist" / "mparticle.js"
    stub = Stub(certificate, {"/page.html": HERE / "page.html", "/page.js": HERE / "page.js", "/sdk.js": sdk})
    mparticle = f"https://localhost:{stub.port}"
    names = [connection_name(name, mode) for name in peers for mode in WEB_MODES]
    server_names = [connection_name(name, "server") for name in peers]
    origins = ("https://www.example.com https://play.example.com", stub.origin)
    text = defaults(peers["stand-in"].url) + "".join(
        connection(connection_name(name, mode), f"KinesisEndpoint {reader.url}", *reader.lines, *MODES[mode],
                   stream=mode, service=reader.service)
        for name, reader in peers.items() for mode in MODES)
    text += "Protocols h2 http/1.1\nSSLEngine On\nSSLSessionCache shmcb:@ROOT@/run/sessions(65536)\nSSLCertificateFile @ROOT@/loopback.pem\n" \
            f"SSLProxyCACertificateFile @ROOT@/loopback.pem\n"
    text += example("web-sdk.conf", names, origins=origins, identity=("https://identity.mparticle.com", mparticle),
                    cdn=("https://jssdkcdns.mparticle.com", mparticle), other=("https://jssdks.mparticle.com", mparticle))
    text += example("server-sdks.conf", server_names, users=("/etc/apache2/kinesis.users", "@ROOT@/users"),
                    page=("/etc/apache2/kinesis-forbidden.asis", "@ROOT@/htdocs/forbidden.asis"))
    text += section("Location", '"/kinesis-status"', ["SetHandler kinesis-forward-status"])
    server = module_httpd(text, modules=MODULES, log_level="notice", start=False)
    for end in ("", ".crt"):
        (server.root / f"loopback.pem{end}").write_bytes(Path(f"{certificate}{end}").read_bytes())
    subprocess.run(["htpasswd", "-bc", str(server.root / "users"), KEY, API_SECRET], check=True, capture_output=True)
    (server.root / "htdocs" / "forbidden.asis").write_bytes((SOURCE / "conf" / "forbidden.asis").read_bytes())
    server.start()
    yield Site(server, stub, peers)
    stub.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = Browser("--ignore-certificate-errors")
    yield chromium
    chromium.close()


# Senders

def events_sent(notes: list[dict]) -> set[str]:
    return {(event["data"].get("custom_attributes") or {}).get("kf_event") for note in notes if note["status"] in (202, True)
            for event in json.loads(note["body"])["events"]}


def settle(browser: Browser) -> list[dict]:
    """The bodies that the page has sent, once all that it logged was among them."""
    def settled() -> list[dict]:
        sent = browser.run("return kf.sent()")
        logged = set(browser.run("return kf.logged()"))
        return sent if logged <= events_sent(sent) and all(note["status"] is not None for note in sent) else []
    return wait_until(settled, "the SDK to send all that it was given", PATIENCE)


@pytest.mark.parametrize("way", WAYS)
def test_the_web_sdk(site, browser, way):
    begun = time.time()
    page = f"{site.stub.origin}/page.html?way={way}&host={site.host}&name=web-{way}"
    browser.open(f"{site.stub.origin}/page.html")
    browser.run("localStorage.clear(); sessionStorage.clear()")
    browser.open(page)
    wait_until(lambda: browser.run("return kf.ready()"), "the SDK to know its user", PATIENCE)
    for step in ("visit", "shop", "attributes"):
        browser.run(f"kf.{step}()")
    assert browser.run("return kf.login()") == CUSTOMER
    browser.run("kf.optOut()")
    settle(browser)
    browser.run("kf.leave()")
    wait_until(lambda: "&again" in browser.driver.current_url and browser.run("return kf.ready()"), "the next page", PATIENCE)
    browser.run("kf.shop()")
    assert browser.run("return kf.logout()") == VISITOR
    assert browser.run("return kf.preflighted()") == 202
    settle(browser)
    browser.run("kf.endSession(); kf.upload()")
    # A session that begins by itself after the end of the first, and is ended too.
    browser.run("kf.visit(); kf.endSession(); kf.upload()")
    notes = wait_until(lambda: (lambda sent: sent if ends(sent) == 2 else [])(settle(browser)), "two ends", PATIENCE)
    browser.open("about:blank")
    browser.open(f"{site.stub.origin}/page.html")
    notes = browser.run("return kf.sent()")
    assert {note["how"] for note in notes} == {"fetch", "beacon"}
    assert {note["status"] for note in notes} == {202, True}, Counter(note["status"] for note in notes)
    assert {note["type"].lower() for note in notes} == {"text/plain;charset=utf-8", "application/json"}
    path = "/v3/JS/" if way == "url" else "/webevents/v3/JS/"
    assert {note["url"].partition(site.host)[2] for note in notes if note["type"].startswith("text")} == \
        {f"{path}us1-0123456789abcdef/events"}
    kinds = {event["event_type"] for note in notes for event in json.loads(note["body"])["events"]}
    assert kinds >= {"session_start", "session_end", "screen_view", "custom_event", "commerce_event", "crash_report", "opt_out",
                     "application_state_transition", "user_attribute_change", "user_identity_change"}
    for note in notes:
        site.sent(f"web-{way}", note["how"] if note["type"].startswith("text") else "fetch after a preflight", note["body"], begun)


def ends(notes: list[dict]) -> int:
    return sum(event["event_type"] == "session_end" for note in notes for event in json.loads(note["body"])["events"])


def run_sdk(site: Site, sender: str, key: str, secret: str, name: str) -> list[dict]:
    """What the SDK's program says of each of its calls."""
    ca = str(site.server.root / "loopback.pem.crt")
    node = {"NODE_PATH": str(INSTALLED / "npm" / "node_modules"), "NODE_EXTRA_CA_CERTS": ca, "NODE_NO_WARNINGS": "1"}
    command, more = (["node", str(HERE / "send_node.js")], node) if sender == "node" else \
        ([str(INSTALLED / "venv" / "bin" / "python"), str(HERE / "send_python.py")], {"KF_CA": ca})
    ended = subprocess.run([*command, f"https://127.0.0.1:{site.server.port}/v2", key, secret, name], capture_output=True,
                           text=True, env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **more}, timeout=PATIENCE)
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


@pytest.mark.parametrize("sender", ["node", "python"])
def test_a_server_sdk(site, sender):
    begun = time.time()
    calls = run_sdk(site, sender, KEY, API_SECRET, sender)
    assert [(call["path"], call["status"], call["answer"]) for call in calls] == \
        [("/events", 202, ""), ("/bulkevents", 202, "")]
    assert [len(oracle.batches(call["body"].encode())) for call in calls] == [1, 20]
    for call in calls:
        site.sent(sender, call["path"], call["body"], begun)


@pytest.mark.parametrize("sender", ["node", "python"])
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
    answer = request(site, "POST", path, b"{}", headers)
    assert answer.status == status
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)


def request(site: Site, method: str, path: str, body: bytes | None, headers: dict[str, str]):
    import http.client
    import ssl
    from client import read_answer
    context = ssl.create_default_context(cafile=str(site.server.root / "loopback.pem.crt"))
    link = http.client.HTTPSConnection("127.0.0.1", site.server.port, timeout=DEADLINE, context=context)
    try:
        link.request(method, path, body, headers)
        return read_answer(link.getresponse())
    finally:
        link.close()


def test_a_preflight_needs_no_secret(site):
    answer = request(site, "OPTIONS", "/v2/events", None, {"Origin": "https://a.example",
                                                           "Access-Control-Request-Method": "POST"})
    assert answer.status == 204


# Readers

def versions() -> dict[str, str]:
    locked = json.loads((HERE / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    pinned = dict(line.split("==") for line in (HERE / "requirements.txt").read_text(encoding="utf-8").split())
    npm = {f"{name} (npm)": locked[f"node_modules/{name}"]["version"]
           for name in ("@mparticle/web-sdk", "mparticle", "kinesalite", "kinesis-local")}
    import boto3
    return {**npm, "mparticle (PyPI)": pinned["mparticle"], "moto": pinned["moto"], "boto3": boto3.__version__}


def distinct(records: list[bytes]) -> set[str]:
    return {(event["data"].get("custom_attributes") or {}).get("kf_event") or event["data"].get("source_message_id")
            for record in records for event in json.loads(record)["events"]}


def test_every_event_reaches_every_reader(site, record_property):
    """The tests before this one have sent; nothing is missing, altered, or there twice."""
    assert {upload.sender for upload in site.uploads} == {"web-url", "web-domain", "node", "python"}, \
        "the senders' tests have to run before"
    routes = site.routes()
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
    idle(site)
    for route in routes:
        route.records = site.readers[route.reader].read(route.stream)
    trace = Trace(site.uploads, routes)
    trace.write(BUILD, versions())
    record_property("numbers", json.dumps(trace.summary()["readers"]))
    assert not trace.faults, "\n".join(trace.faults[:40])
    assert_windows(site, routes)


def idle(site: Site) -> None:
    """Nothing is on its way any more: what comes twice has come."""
    def settled() -> bool:
        page = json.loads(request(site, "GET", "/kinesis-status?format=json", None, {}).body)
        return not any(one["gauges"][name] for one in page["connections"] for name in ("backlog_records", "windows"))
    wait_until(settled, "the backlog and the windows to be empty", PATIENCE)


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
    assert len(lines) == 42 and lake.objects < len(lines)
    assert all(isinstance(json.loads(line), dict) for line in lines)
