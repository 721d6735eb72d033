"""What the handler answers: every row of the contract's table of requests, on each MPM and over HTTP/2."""
from __future__ import annotations

import base64
import gzip
import hashlib
import os
import socket
import zlib
from dataclasses import dataclass

import pytest

import configs
import ledger
from client import Answer
from configs import batch, connection, defaults, location, sample, unique
from h2client import H2Client
from httpd_server import MPMS, Httpd, wait_until
from standin import StandIn

SMALL = 1000
INFLATED = 20_000
ORIGIN = "https://a.example"
OTHER_ORIGIN = "http://b.example:8080"
FOREIGN_ORIGIN = "https://c.example"
JSON = {"Content-Type": "application/json"}
GOOD = b'{"events":[]}'


@dataclass
class Site:
    """One server with a location for each thing to be tried."""
    server: Httpd
    aws: StandIn

    def post(self, body: bytes, path: str = "/v2/events", headers: dict[str, str] | None = None) -> Answer:
        return self.server.client.request("POST", path, body, JSON if headers is None else headers)


def site_config(url: str) -> str:
    cors = f"KinesisAllowOrigin {ORIGIN} {OTHER_ORIGIN}"
    return "".join([
        defaults(url), connection("one"), location("/v2/events", "one"),
        location("/small", "one", lines=(f"KinesisMaxBodySize {SMALL}", )),
        location("/inflate", "one", lines=("SetInputFilter DEFLATE", f"KinesisMaxBodySize {INFLATED}")),
        location("/discard", "one", lines=("KinesisInvalidBatch discard", f"KinesisMaxBodySize {SMALL}",
                                           "SetInputFilter DEFLATE")),
        location("/listed", "one", lines=(cors, f"KinesisMaxBodySize {SMALL}")),
        location("/listed/limited", "one", lines=("LimitRequestBody 500", )),
        location("/any", "one", lines=("KinesisAllowOrigin *", )),
        location("/auth", "one", lines=(cors, "AuthType Basic", 'AuthName "events"', "AuthUserFile @ROOT@/users",
                                        "<RequireAny>", "Require method OPTIONS", "Require valid-user",
                                        "</RequireAny>")),
        location("/denied", "one", lines=(cors, "Require all denied")),
        location("/nobody", lines=(cors, )),
    ])


def make_site(make_httpd, aws: StandIn, mpm: str, more: str = "", modules: tuple[str, ...] = ()) -> Site:
    server = make_httpd(site_config(aws.url) + more, start=False, mpm=mpm, modules=("deflate", "filter", *modules))
    digest = base64.b64encode(hashlib.sha1(b"open sesame").digest()).decode()
    (server.root / "users").write_text(f"sender:{{SHA}}{digest}\n")
    return Site(server.start(), aws)


@pytest.fixture(scope="module", params=MPMS)
def site(request, module_aws, module_httpd) -> Site:
    return make_site(module_httpd, module_aws, request.param)


@pytest.fixture(scope="module", params=("event", "worker"))
def h2_site(request, module_aws, module_httpd) -> Site:
    return make_site(module_httpd, module_aws, request.param, "Protocols h2c http/1.1\n", ("http2", ))


def assert_accepted(answer: Answer) -> None:
    assert answer.status == 202, answer.body
    assert answer.body == b"" and answer.headers["Content-Length"] in (None, "0")


# Bodies

def nested(arrays: int) -> bytes:
    return b'{"events":[],"deep":' + b"[" * arrays + b"]" * arrays + b"}"


def event(data: bytes = b"{}", more: bytes = b"") -> bytes:
    return b'{"events":[{"event_type":"custom_event","data":' + data + more + b"}]}"


def crash(breadcrumb: bytes) -> bytes:
    return b'{"events":[{"event_type":"crash_report","data":{"breadcrumbs":[' + breadcrumb + b"]}}]}"


def wrapped(data: bytes) -> bytes:
    return b'{"DeliveryStreamName":"elsewhere","Record":{"Data":' + data + b"}}"


def encoded(text: bytes) -> bytes:
    return b'"' + base64.b64encode(text) + b'"'


AUDIENCE = b'{"AudienceId":1,"AudienceName":"n","IsMember":true,"UserIdentities":{"MPID":"5","Email":"a@b.example"}}'

TAKEN = {
    "no events": GOOD, "null events": b'{"events":null}', "only mpid": b'{"mpid":1}', "text mpid": b'{"mpid":"-5"}',
    "only mp_deviceid": b'{"mp_deviceid":"d"}', "only user_identities": b'{"user_identities":{}}',
    "only user_attributes": b'{"user_attributes":{"a":1}}',
    "only deleted_user_attributes": b'{"deleted_user_attributes":["a"]}', "only device_info": b'{"device_info":{}}',
    "only consent_state": b'{"consent_state":{}}', "blanks around": b' \t\r\n{"events":[]}\r\n\t ',
    "escaped member name": b'{"ev\\u0065nts":[]}', "event without data": b'{"events":[{"event_type":"x"}]}',
    "null data": event(b"null"), "unknown type": b'{"events":[{"event_type":"brand_new","data":{}}]}',
    "escaped NUL": b'{"mpid":1,"ip":"\\u0000"}', "surrogate pair": b'{"mpid":1,"ip":"\\ud83c\\udf89"}',
    "64 brackets": nested(63), "64 brackets in a bulk": b"[" + nested(62) + b"]",
    "names twice where nobody looks": event(b'{"custom_attributes":{"a":1,"a":2}}'),
    "bulk": b'[{"events":[]},{"mpid":1}]', "audience message": AUDIENCE,
    "bulk with audience": b"[" + AUDIENCE + b"," + GOOD + b"]",
    "opaque audience message": b'{"AudienceId":1,"Deleted":true}',
    "wrapped object": wrapped(GOOD), "wrapped base64": wrapped(encoded(GOOD)), "wrapped audience": wrapped(AUDIENCE),
    "wrapped base64 audience": wrapped(encoded(AUDIENCE)),
    "big numbers": b'{"mpid":123456789012345678901234567890e400}',
}

REFUSED = {
    "empty": b"", "blanks": b" \r\n", "a word": b"QUOTEME", "single quotes": b"{'QUOTEME':1}",
    "comma at the end": b'{"events":[],}', "comma at an array's end": b'{"events":[],"mpid":[1,]}',
    "cut short": b'{"events":[]', "cut in a string": b'{"mpid":"QUOTEME', "cut literal": b'{"mpid":nul',
    "leading zero": b'{"mpid":01}', "plus": b'{"mpid":+1}', "dot at the end": b'{"mpid":1.}', "NaN": b'{"mpid":NaN}',
    "bare exponent": b'{"mpid":1e}', "hex": b'{"mpid":0x1}', "control character": b'{"mpid":"QUOTEME\x01"}',
    "tab in a string": b'{"mpid":"\t"}', "bad escape": b'{"mpid":"\\x"}', "bad \\u": b'{"mpid":"\\u12g4"}',
    "comment": b'{"events":[]/**/}', "no colon": b'{"events" []}', "name without quotes": b'{events:[]}',
    "a string": b'"QUOTEME"', "a number": b"12", "null": b"null", "true": b"true",
    "events an object": b'{"events":{}}', "events a string": b'{"events":"QUOTEME"}',
    "events a number": b'{"events":1}',
    "events false": b'{"events":false}', "event a number": b'{"events":[1]}', "event null": b'{"events":[null]}',
    "event an array": b'{"events":[[]]}', "no event_type": b'{"events":[{"data":{}}]}',
    "event_type a number": b'{"events":[{"event_type":5}]}', "event_type null": b'{"events":[{"event_type":null}]}',
    "twice in the batch": b'{"mpid":1,"mpid":1}', "twice unescaped": b'{"mpid":1,"\\u006dpid":2}',
    "events twice": b'{"events":[],"events":[]}', "unknown member twice": b'{"mpid":1,"QUOTEME":1,"QUOTEME":1}',
    "twice in user_identities": b'{"user_identities":{"email":"a","email":"b"}}',
    "twice in an identity": b'{"user_identities":[{"identity_type":"email","identity":"a","identity":"b"}]}',
    "twice in partner_identities": b'{"mpid":1,"partner_identities":{"p":"a","p":"b"}}',
    "twice in device_info": b'{"device_info":{"brand":"a","brand":"a"}}',
    "twice in context": b'{"mpid":1,"context":{"location":{},"location":{}}}',
    "twice in an event": b'{"events":[{"event_type":"a","event_type":"b"}]}',
    "twice in data": event(b'{"event_name":"a","event_name":"a"}'),
    "twice in a breadcrumb": crash(b'{"event_type":"breadcrumb","data":{},"data":{}}'),
    "twice in a breadcrumb's data": crash(b'{"event_type":"breadcrumb","data":{"label":1,"label":1}}'),
    "twice in an audience message": b'{"AudienceId":1,"AudienceId":1,"IsMember":true}',
    "twice in its identities": b'{"AudienceId":1,"IsMember":true,"UserIdentities":{"Email":"a","Email":"a"}}',
    "65 brackets": nested(64), "65 brackets in a bulk": b"[" + nested(63) + b"]", "many brackets": b"[" * 100_000,
    "byte order mark": b"\xef\xbb\xbf" + GOOD, "stray byte": b'{"mpid":"\xff"}', "overlong": b'{"mpid":"\xc0\xaf"}',
    "surrogate in UTF-8": b'{"mpid":"\xed\xa0\x80"}', "beyond Unicode": b'{"mpid":"\xf4\x90\x80\x80"}',
    "cut UTF-8": b'{"mpid":"\xe2\x82"}', "high surrogate": b'{"mpid":"\\ud800"}',
    "low surrogate": b'{"mpid":"\\udc00"}',
    "high and high": b'{"mpid":"\\ud800\\ud800"}', "high and letter": b'{"mpid":"\\ud800x"}',
    "surrogate in a name": b'{"mpid":1,"\\udfff":1}', "trailing word": GOOD + b" QUOTEME", "two values": GOOD + GOOD,
    "trailing NUL": GOOD + b"\0", "empty object": b"{}", "nothing known": b'{"QUOTEME":1}',
    "only a key": b'{"api_key":"QUOTEME"}',
    "empty array": b"[]", "array of numbers": b"[1]", "array in an array": b'[[{"events":[]}]]',
    "bad base64": wrapped(b'"%%%QUOTEME"'), "base64 of no JSON": wrapped(encoded(b"QUOTEME")),
    "native SDK format": b'{"dt":"h","id":"QUOTEME","msgs":[{"dt":"ss"}]}',
}


@pytest.mark.parametrize("name", TAKEN)
def test_a_right_body_is_answered_202_with_an_empty_body(site, name):
    assert_accepted(site.post(TAKEN[name]))


@pytest.mark.parametrize("name", [n for n in configs.sample_names() if n != "bulk-one-good-one-bad"])
def test_every_sample_is_answered_202(site, name):
    assert_accepted(site.post(sample(name)))


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_body_is_answered_400_and_not_quoted(site, name):
    answer = site.post(REFUSED[name])
    assert answer.status == 400, (answer.status, answer.body)
    assert "QUOTEME" not in answer.error()


def test_a_refusal_says_where(site):
    assert "7" in site.post(b'{"mpid"QUOTEME}').error()
    events = [{"event_type": "a"}, {"event_type": "b"}, {"data": {}}]
    assert "2" in site.post(batch(events=events)).error()
    assert "1" in site.post(sample("bulk-one-good-one-bad")).error()


def test_the_native_sdk_format_is_named(site):
    assert "native" in site.post(REFUSED["native SDK format"]).error().lower()


def test_a_bulk_with_one_bad_batch_forwards_nothing_of_it(site):
    good, later = unique(), unique()
    answer = site.post(b"[" + batch(good) + b"," + batch() + b',{"nothing":1}]')
    assert answer.status == 400 and "2" in answer.error()
    assert_accepted(site.post(batch(later)))
    ledger.wait_ids(site.aws, [later])
    assert good not in ledger.ids(site.aws)


def test_a_bulk_becomes_a_record_a_batch(site):
    posted = [unique() for _ in range(50)]
    assert_accepted(site.post(b"[" + b",".join(map(batch, posted)) + b"]"))
    ledger.wait_ids(site.aws, posted)


# Methods

@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "BREW"])
def test_another_method_is_answered_405_with_allow(site, method):
    answer = site.server.request(method, "/v2/events")
    assert answer.status == 405 and answer.error()
    assert {m.strip() for m in answer.headers["Allow"].split(",")} == {"POST", "OPTIONS"}


def test_head_is_answered_405_without_a_body(site):
    answer = site.server.request("HEAD", "/v2/events")
    assert answer.status == 405 and answer.body == b"" and "POST" in answer.headers["Allow"]


def test_options_is_answered_204_with_allow(site):
    answer = site.server.request("OPTIONS", "/v2/events")
    assert answer.status == 204 and answer.body == b""
    assert {m.strip() for m in answer.headers["Allow"].split(",")} == {"POST", "OPTIONS"}
    assert answer.headers["Access-Control-Allow-Origin"] is None


# Content types and encodings

@pytest.mark.parametrize("kind", ["application/json", "application/json;charset=utf-8",
                                  'application/json; charset="UTF-8"',
                                  "Application/JSON", "text/plain", "text/plain;charset=UTF-8",
                                  "text/plain; charset=us-ascii", "application/json; v=1; charset=utf-8", None])
def test_content_types_that_are_taken(site, kind):
    assert_accepted(site.post(GOOD, headers={"Content-Type": kind} if kind else {}))


@pytest.mark.parametrize("kind", ["application/xml", "text/html", "application/x-www-form-urlencoded",
                                  "multipart/form-data; boundary=x", "application/jsonx", "application/vnd.api+json",
                                  "json", "application/json; charset=iso-8859-1", "text/plain;charset=utf-16",
                                  'application/json; charset="latin1"'])
def test_other_content_types_are_answered_415(site, kind):
    answer = site.post(GOOD, headers={"Content-Type": kind})
    assert answer.status == 415 and answer.error()


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "GZIP"])
def test_an_encoding_that_nothing_removed_is_answered_415_and_says_what_would(site, encoding):
    answer = site.post(gzip.compress(GOOD), headers={**JSON, "Content-Encoding": encoding})
    assert answer.status == 415 and "SetInputFilter DEFLATE" in answer.error()


def test_a_compressed_body_is_inflated_by_httpds_filter(site):
    request_id = unique()
    assert_accepted(site.post(gzip.compress(batch(request_id)), "/inflate", {**JSON, "Content-Encoding": "gzip"}))
    ledger.wait_ids(site.aws, [request_id])


def test_the_limit_counts_after_inflating(site):
    def noise(size: int) -> bytes:
        return b'{"mpid":1,"x":"' + os.urandom(size).hex()[:size].encode() + b'"}'
    headers = {**JSON, "Content-Encoding": "gzip"}
    assert_accepted(site.post(gzip.compress(noise(INFLATED - 17)), "/inflate", headers))
    answer = site.post(gzip.compress(noise(INFLATED)), "/inflate", headers)
    assert answer.status == 413 and answer.error()


def test_a_bomb_is_refused_without_being_inflated_whole(site):
    site.server.allow("AH02649")
    before = peak_memory(site.server)
    answer = site.post(gzip.compress(b" " * 64_000_000), "/inflate", {**JSON, "Content-Encoding": "gzip"})
    assert answer.status in (400, 413)
    assert peak_memory(site.server) - before < 32_000_000


BROKEN = {"not gzip": b"not gzip at all", "cut short": gzip.compress(batch("cut"))[:-20],
          "cut in its head": gzip.compress(GOOD)[:5]}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_compressed_body_is_refused(site, name):
    site.server.allow("AH01387", "AH02481", "AH02619")
    assert site.post(BROKEN[name], "/inflate", {**JSON, "Content-Encoding": "gzip"}).status in (400, 413)


def test_deflate_without_filter_of_another_encoding_is_answered_415(site):
    answer = site.post(zlib.compress(GOOD), "/inflate", {**JSON, "Content-Encoding": "br"})
    assert answer.status == 415 and answer.error()


def peak_memory(server: Httpd) -> int:
    """The largest resident size of any child so far, in bytes."""
    sizes = []
    for pid in server.processes():
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            sizes += [int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM")]
    return max(sizes)


# Sizes

def of_size(size: int) -> bytes:
    return b'{"mpid":1,"x":"' + b"x" * (size - 17) + b'"}'


def chunks(body: bytes, size: int = 100):
    return (body[i:i + size] for i in range(0, len(body), size))


@pytest.mark.parametrize("how", ["sized", "chunked"])
def test_a_body_may_be_as_long_as_the_limit_and_no_longer(site, how):
    def send(body: bytes) -> Answer:
        if how == "sized":
            return site.post(body, "/small")
        return site.server.client.request("POST", "/small", None, JSON, chunks(body))
    assert len(of_size(SMALL)) == SMALL
    assert_accepted(send(of_size(SMALL)))
    answer = send(of_size(SMALL + 1))
    assert answer.status == 413 and str(SMALL) in answer.error()


def test_a_chunked_body_is_taken(site):
    request_id = unique()
    answer = site.server.client.request("POST", "/v2/events", None, JSON, chunks(batch(request_id, events=20), 7))
    assert_accepted(answer)
    ledger.wait_ids(site.aws, [request_id])


def test_the_default_limit_is_one_mebibyte(site):
    site.server.allow("KF0304")  # such a body is taken, and with its key too long for a record
    assert_accepted(site.post(of_size(1 << 20)))
    assert site.post(of_size((1 << 20) + 1)).status == 413


def test_expect_continue_is_not_asked_to_send_what_is_too_long(site):
    head = (f"POST /small HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {SMALL + 1}\r\n"
            "Expect: 100-continue\r\n\r\n")
    with site.server.client.connect() as stream:
        stream.sendall(head.encode())
        assert site.server.client.answer_on(stream).status == 413


def test_a_body_that_never_comes_whole_is_not_forwarded(site):
    cut, later = unique(), unique()
    body = batch(cut)
    head = ("POST /v2/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body) + 5}\r\n\r\n")
    with site.server.client.connect() as stream:
        stream.sendall(head.encode() + body)
        stream.shutdown(socket.SHUT_WR)
        stream.recv(4096)
    assert_accepted(site.post(batch(later)))
    ledger.wait_ids(site.aws, [later])
    assert cut not in ledger.ids(site.aws)


def test_a_broken_chunk_is_answered_400(site):
    answer = site.server.client.raw(b"POST /v2/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                                    b"Transfer-Encoding: chunked\r\n\r\nzz\r\n")
    assert answer.status == 400


def test_httpds_own_limit_keeps_its_body(site):
    site.server.allow("AH01588", "AH01591")
    answer = site.post(of_size(600), "/listed/limited", {**JSON, "Origin": ORIGIN})
    assert answer.status == 413 and b"<html>" in answer.body.lower()
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN


def test_http_1_0_is_served(site):
    answer = site.server.client.raw(b"POST /v2/events HTTP/1.0\r\nContent-Type: application/json\r\n"
                                    b"Content-Length: 13\r\n\r\n" + GOOD)
    assert answer.status == 202


def test_one_connection_serves_many_requests_whatever_their_answers(site):
    kept = site.server.client.open()
    try:
        for body, status in [(GOOD, 202), (b"nonsense", 400), (batch(), 202), (b"[]", 400), (GOOD, 202)]:
            kept.request("POST", "/v2/events", body, JSON)
            response = kept.getresponse()
            response.read()
            assert response.status == status
    finally:
        kept.close()


# Which refusal comes first

@pytest.mark.parametrize("method, kind, size, status", [
    ("PUT", "application/xml", SMALL + 1, 405), ("POST", "application/xml", SMALL + 1, 415),
    ("POST", "application/json", SMALL + 1, 413), ("POST", "application/xml", 8, 415),
    ("POST", "application/json", 8, 400)])
def test_the_first_refusal_that_applies_decides(site, method, kind, size, status):
    assert site.server.client.request(method, "/small", b"x" * size, {"Content-Type": kind}).status == status


def test_too_long_decides_before_wrong_also_where_the_length_is_not_announced(site):
    answer = site.server.client.request("POST", "/small", None, JSON, chunks(b"x" * (SMALL + 1)))
    assert answer.status == 413


@pytest.mark.parametrize("mpm", MPMS)
def test_unavailable_decides_before_wrong_and_after_too_long(aws, httpd, mpm):
    config = (defaults(aws.url) + connection("one", "KinesisSecretAccessKey file:@ROOT@/own")
              + location("/small", "one", lines=(f"KinesisMaxBodySize {SMALL}", "KinesisAllowOrigin *"))
              + location("/discard", "one", lines=("KinesisInvalidBatch discard", )))
    server = httpd(config, start=False, mpm=mpm)
    own = server.root / "own"
    own.write_text("secret")
    own.chmod(0o600)
    server.start()
    own.unlink()
    server.expect("KF0103")
    server.restart()
    answer = server.post("/small", b"nonsense", {"Origin": ORIGIN})
    assert answer.status == 503 and answer.error() and int(answer.headers["Retry-After"]) >= 1
    assert answer.headers["Access-Control-Allow-Origin"] in ("*", ORIGIN)
    assert server.client.request("POST", "/small", None, JSON, chunks(of_size(SMALL + 1))).status == 503
    assert server.post("/small", of_size(SMALL + 1)).status == 413
    assert server.post("/small", GOOD, {"Content-Type": "text/html"}).status == 415
    assert server.request("GET", "/small").status == 405
    assert server.post("/discard", b"nonsense").status == 503


# CORS

def cors_headers(answer: Answer) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers.items()
            if name.lower().startswith("access-control-")}


@pytest.mark.parametrize("path, origin, allowed", [("/listed", ORIGIN, (ORIGIN, )),
                                                   ("/listed", OTHER_ORIGIN, (OTHER_ORIGIN, )),
                                                   ("/any", FOREIGN_ORIGIN, ("*", FOREIGN_ORIGIN))])
def test_a_preflight_from_an_allowed_origin_is_let_through(site, path, origin, allowed):
    answer = site.server.request("OPTIONS", path, headers={
        "Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"})
    assert answer.status == 204 and answer.body == b""
    headers = cors_headers(answer)
    assert headers["access-control-allow-origin"] in allowed
    assert {m.strip() for m in headers["access-control-allow-methods"].split(",")} == {"POST", "OPTIONS"}
    assert {h.strip().lower() for h in headers["access-control-allow-headers"].split(",")} == \
        {"content-type", "authorization", "accept"}
    assert int(headers["access-control-max-age"]) > 0
    if path == "/listed":
        assert "origin" in answer.headers["Vary"].lower()


@pytest.mark.parametrize("path, origin", [("/listed", FOREIGN_ORIGIN), ("/v2/events", ORIGIN), ("/listed", "null"),
                                          ("/listed", ORIGIN + ".example"), ("/listed", "https://a.example:8443")])
def test_another_origin_gets_no_cors_headers_and_is_served(site, path, origin):
    preflight = site.server.request("OPTIONS", path,
                                    headers={"Origin": origin, "Access-Control-Request-Method": "POST"})
    assert preflight.status == 204 and not cors_headers(preflight)
    answer = site.post(GOOD, path, {**JSON, "Origin": origin})
    assert_accepted(answer)
    assert not cors_headers(answer)


CORS_ANSWERS = {
    202: ("POST", "/listed", GOOD, {}), 400: ("POST", "/listed", b"nonsense", {}), 405: ("PUT", "/listed", b"", {}),
    413: ("POST", "/listed", of_size(SMALL + 1), {}), 415: ("POST", "/listed", GOOD, {"Content-Type": "text/html"}),
    401: ("POST", "/auth", GOOD, {}), 403: ("POST", "/denied", GOOD, {}), 500: ("POST", "/nobody", GOOD, {}),
}


@pytest.mark.parametrize("status", CORS_ANSWERS)
def test_every_answer_carries_the_origin(site, status):
    site.server.allow("KF0101", "AH01630")
    method, path, body, headers = CORS_ANSWERS[status]
    answer = site.server.client.request(method, path, body, {**JSON, "Origin": ORIGIN, **headers})
    assert answer.status == status
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert answer.headers.get_all("Access-Control-Allow-Origin") == [ORIGIN]
    assert "origin" in answer.headers["Vary"].lower()


def test_a_preflight_passes_authentication_and_a_post_needs_it(site):
    site.server.allow("AH01617", "AH01618")
    preflight = site.server.request("OPTIONS", "/auth",
                                    headers={"Origin": ORIGIN, "Access-Control-Request-Method": "POST"})
    assert preflight.status == 204 and cors_headers(preflight)["access-control-allow-origin"] == ORIGIN

    def with_password(text: str) -> Answer:
        token = base64.b64encode(f"sender:{text}".encode()).decode()
        return site.post(GOOD, "/auth", {**JSON, "Authorization": f"Basic {token}"})
    refused = with_password("wrong")
    assert refused.status == 401 and b"<html>" in refused.body.lower()
    assert_accepted(with_password("open sesame"))


# Discarding what is wrong

@pytest.mark.parametrize("name", ["a word", "empty", "no event_type", "empty array", "65 brackets",
                                  "native SDK format"])
def test_discard_answers_202_to_a_wrong_body(site, name):
    assert_accepted(site.post(REFUSED[name], "/discard"))


def test_discard_answers_202_to_what_would_be_413_or_415_and_forwards_nothing(site):
    dropped = [unique() for _ in range(4)]
    assert_accepted(site.post(batch(dropped[0], padding="x" * SMALL), "/discard"))
    assert_accepted(site.server.client.request("POST", "/discard", None, JSON,
                                               chunks(batch(dropped[1], padding="x" * SMALL))))
    assert_accepted(site.post(batch(dropped[2]), "/discard", {"Content-Type": "application/xml"}))
    assert_accepted(site.post(b"[" + batch(dropped[3]) + b",{}]", "/discard"))
    taken = unique()
    assert_accepted(site.post(batch(taken), "/discard"))
    ledger.wait_ids(site.aws, [taken])
    assert not set(dropped) & set(ledger.ids(site.aws))


def test_discard_does_not_change_other_answers(site):
    assert site.server.request("GET", "/discard").status == 405
    assert site.server.request("OPTIONS", "/discard").status == 204


# Senders as they are

def test_the_web_sdks_posts_are_taken_like_its_beacons(site):
    request_id = unique()
    body = batch(request_id, mpid="7346244611012968789", context={"data_plan": {"plan_id": "p"}})
    headers = {"Content-Type": "text/plain;charset=UTF-8", "Accept": "text/plain;charset=UTF-8", "Origin": ORIGIN}
    answer = site.post(body, "/listed/v3/JS/key/events", headers)
    assert_accepted(answer)
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    ledger.wait_ids(site.aws, [request_id])


def test_wrapped_batches_lose_the_wrapper_and_its_stream_name(site):
    plain, base64_form = unique(), unique()
    assert_accepted(site.post(wrapped(batch(plain))))
    assert_accepted(site.post(b"[" + wrapped(encoded(batch(base64_form))) + b"]"))
    ledger.wait_ids(site.aws, [plain, base64_form])


# HTTP/2

def test_h2_posts_are_taken(h2_site):
    request_id = unique()
    with H2Client("127.0.0.1", h2_site.server.port) as client:
        stream, = client.wait(client.post("/v2/events", batch(request_id)))
    assert stream.status == 202 and stream.body == b""
    ledger.wait_ids(h2_site.aws, [request_id])


def test_h2_carries_many_posts_at_once(h2_site):
    posted = [unique() for _ in range(90)]
    with H2Client("127.0.0.1", h2_site.server.port) as client:
        streams = client.wait(*[client.post("/v2/events", batch(name), sized=i % 2 == 0)
                                for i, name in enumerate(posted)])
    assert [stream.status for stream in streams] == [202] * len(posted)
    ledger.wait_ids(h2_site.aws, posted)


@pytest.mark.parametrize("sized", [True, False])
@pytest.mark.parametrize("times", [1.5, 7.5])
def test_h2_answers_413_up_to_eight_times_the_limit_and_goes_on(h2_site, sized, times):
    with H2Client("127.0.0.1", h2_site.server.port) as client:
        stream, = client.wait(client.post("/small", of_size(int(SMALL * times)), sized=sized))
        assert stream.status == 413 and stream.reset is None
        assert stream.body.startswith(b'{"errors":[{"code":"PAYLOAD_TOO_LARGE","message":"')
        after, = client.wait(client.post("/small", GOOD))
        assert after.status == 202


@pytest.mark.parametrize("sized", [True, False])
def test_h2_large_bodies_get_413_with_cors(h2_site, sized):
    with H2Client("127.0.0.1", h2_site.server.port) as client:
        stream, = client.wait(client.post("/any", of_size(3 << 20), {"content-type": "text/plain", "origin": ORIGIN},
                                          sized=sized))
    assert stream.status == 413
    assert stream.headers["access-control-allow-origin"] in ("*", ORIGIN)


@pytest.mark.parametrize("method, body, headers, status", [
    ("OPTIONS", b"", {}, 204), ("GET", b"", {}, 405), ("POST", b"nonsense", {}, 400),
    ("POST", GOOD, {"content-type": "text/html"}, 415)])
def test_h2_other_answers_are_those_of_http_1_1(h2_site, method, body, headers, status):
    with H2Client("127.0.0.1", h2_site.server.port) as client:
        stream, = client.wait(client.post("/v2/events", body, {"content-type": "application/json", **headers}, method))
    assert stream.status == status
    if status >= 400:
        assert stream.body.startswith(b'{"errors":[{"code":"')


def test_h2_discard_takes_a_long_body(h2_site):
    with H2Client("127.0.0.1", h2_site.server.port) as client:
        stream, = client.wait(client.post("/discard", of_size(SMALL * 4)))
        assert stream.status == 202
        assert client.wait(client.post("/discard", GOOD))[0].status == 202


def test_h2_a_cancelled_upload_is_not_forwarded(h2_site):
    cut, later = unique(), unique()
    client = H2Client("127.0.0.1", h2_site.server.port)
    with client:
        client.post("/v2/events", batch(cut, padding="x" * 200_000))
    assert_accepted(h2_site.post(batch(later)))
    ledger.wait_ids(h2_site.aws, [later])
    wait_until(lambda: later in ledger.ids(h2_site.aws), "the later batch")
    assert cut not in ledger.ids(h2_site.aws)
