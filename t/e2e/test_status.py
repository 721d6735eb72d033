"""The status page without a browser: its renderings, health, methods, headers; changes and who may make them; what is
shown of text that others wrote; and that it works without engine, index or mod_status."""
from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

import configs
import ledger
import status_page
from configs import batch, connection, defaults, location, section, unique
from httpd_server import DEADLINE, KEY_ID, MPMS, SECRET, SOURCE, Httpd, wait_until
from status_page import FORM, PATH, STATUS, Page, data, get, page, post, token, wait_letters

SCRIPT = "</td><script>alert('x')</script>"
NASTY = SCRIPT + "\"\\\x1b[2J\u202e"
SHOWN = SCRIPT + "\"\\\u241b[2J<U+202E>"
PROMTOOL = os.environ.get("KF_PROMTOOL") or shutil.which("promtool")
DOCUMENT = (SOURCE / "docs" / "status.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def site(module_aws, module_httpd) -> Httpd:
    """A server on which tests read, and no test leaves anything behind."""
    more = (connection("lake", "KinesisExcludeFields ip", stream="delivery", service="firehose")
            + location("/v2/lake", "lake") + section("Location", '"/server-status"', ["SetHandler server-status"]))
    server = module_httpd(status_page.config(module_aws.url, more=more), modules=("status", ))
    names = [unique() for _ in range(3)]
    for name in names:
        assert server.post("/v2/events", batch(name, 2)).status == 202
    ledger.wait_ids(module_aws, names)
    wait_until(lambda: data(server)["connections"][0]["counters"]["delivered_records"] == 3, "three records to be counted")
    return server


# Renderings

def test_the_page_is_whole_and_says_how_it_is(site):
    answer = get(site)
    assert answer.status == 200 and answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    shown = Page(answer.body.decode())
    assert "healthy: posts are taken, all connections deliver" in shown.text
    assert "Kinesis stream events" in shown.text and "Firehose delivery" in shown.text
    assert ("html", {"lang": "en"}) in shown.tags
    assert {"main", "header", "footer", "nav"} <= {tag for tag, _ in shown.tags}
    assert all(attributes.get("scope") == "col" for tag, attributes in shown.tags if tag == "th")


def test_the_page_needs_nothing_of_others(site):
    """No address but its own; nothing inline that the policy would refuse."""
    text = get(site).body.decode()
    addresses = re.findall(r'(?:src|href|action)="([^"]*)"', text)
    assert all(address.startswith(("?", "#", PATH)) for address in addresses), addresses
    assert "<style" not in text and " style=" not in text and not re.search(r"<script(?! src)", text)
    for address in [a for a in addresses if a.startswith("?asset=")]:
        asset = get(site, address.replace("&amp;", "&"))
        assert asset.status == 200 and "immutable" in asset.headers["Cache-Control"]
        assert b"http://" not in asset.body.replace(b"http://www.w3.org/2000/svg", b"") and b"https://" not in asset.body
    assert get(site, "?asset=style.css").headers["Cache-Control"] == "no-store"
    assert get(site, "?asset=../../etc/passwd").status == 404


def test_headers_keep_the_page_to_itself(site):
    for query in ("", "?format=json", "?format=prometheus", "?health", "?asset=script.js", "?letter=1"):
        headers = get(site, query).headers
        policy = headers["Content-Security-Policy"].split("; ")
        assert policy[0] == "default-src 'none'" and "frame-ancestors 'none'" in policy and "base-uri 'none'" in policy
        assert "unsafe" not in headers["Content-Security-Policy"] and "*" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"


def test_methods(site):
    for query in ("", "?format=json", "?format=prometheus", "?health"):
        whole, head = get(site, query), get(site, query, "HEAD")
        assert head.status == whole.status and head.body == b""
        assert head.headers["Content-Type"] == whole.headers["Content-Type"]
    answer = get(site, method="OPTIONS")
    assert answer.status == 204 and answer.headers["Allow"] == "GET, HEAD, POST, OPTIONS"
    for method in ("PUT", "DELETE", "PATCH"):
        answer = get(site, method=method)
        assert answer.status == 405 and answer.headers["Allow"] == "GET, HEAD, POST, OPTIONS"


def test_an_unknown_format_is_a_mistake(site):
    answer = get(site, "?format=xml")
    assert answer.status == 400 and b"json" in answer.body
    assert get(site, "?format=").status == 400
    assert get(site, "?format=html").headers["Content-Type"].startswith("text/html")


def test_secrets_are_not_shown(site):
    for query in ("", "?format=json", "?format=prometheus"):
        body = get(site, query).body.decode()
        assert SECRET not in body and KEY_ID not in body
    assert data(site)["connections"][0]["settings"]["KinesisSecretAccessKey"] == "set"


# JSON, as it is documented

def documented() -> dict[str, str]:
    """Member to kind, from the tables of docs/status.md: "connections[].gauges.windows" is "number"."""
    rows = re.findall(r"^\| `([^`]+)` \| ([a-z ]+?) \|", DOCUMENT, re.MULTILINE)
    assert len(rows) > 100 and len({name for name, _ in rows}) == len(rows)
    return dict(rows)


def kinds_of(value: object) -> set[str]:
    """The kinds that a value may be documented as."""
    if value is None:
        return {"null"}
    if isinstance(value, bool):
        return {"boolean"}
    if isinstance(value, (int, float)):
        return {"number"}
    return {str: {"text"}, list: {"list"}, dict: {"object"}}[type(value)]


def members(value: object, path: str, found: dict[str, set[str]]) -> None:
    if isinstance(value, dict):
        for name, inner in value.items():
            # Names that are data, not of the format.
            at = f"{path}.NAME" if path.endswith(("settings", )) else f"{path}.{name}".lstrip(".")
            found.setdefault(at, set()).update(kinds_of(inner))
            members(inner, at, found)
    elif isinstance(value, list):
        for inner in value:
            found.setdefault(f"{path}[]", set()).update(kinds_of(inner))
            members(inner, f"{path}[]", found)


def test_json_is_as_documented(aws, httpd):
    server = httpd(status_page.config(aws.url))
    status_page.poison(aws)
    status_page.post_poisoned(server, [unique()])
    wait_letters(server, 1)
    found: dict[str, set[str]] = {}
    members(data(server), "", found)
    expected = documented()
    assert set(found) - set(expected) == set(), "not in docs/status.md"
    for name, kinds in found.items():
        allowed = set(expected[name].replace(" or ", " ").split())
        assert kinds <= allowed, f"{name} is {kinds}, documented as {allowed}"
    # What isn't there at this moment: the elements of lists that are empty, or members of what is null.
    for name in set(expected) - set(found):
        holder = name.rsplit(".", 1)[0] if "." in name else ""
        assert holder.endswith("[]") or holder not in found or "null" in found[holder] or name.endswith("[]"), name


def test_json_counts(site):
    one = data(site)["connections"][0]
    assert one["name"] == "one" and one["service"] == "streams" and one["stream"] == "events"
    assert one["counters"]["received_batches"] == 3 and one["counters"]["received_events"] == 6
    assert one["counters"]["accepted_records"] == one["counters"]["delivered_records"] == 3
    assert one["histograms"]["delivery_seconds"]["count"] == 3
    assert sum(one["histograms"]["call_seconds"]["buckets"]) == one["histograms"]["call_seconds"]["count"]


def test_history_comes_by_and_by(site):
    first = wait_until(lambda: (d := data(site))["history"]["points"] and d, "a point of the history")
    history = first["connections"][0]["history"]
    assert all(len(values) == first["history"]["points"] for values in history.values())
    newer = data(site, f"&since={first['history']['end_time']}")
    assert newer["history"]["points"] <= 2
    assert data(site, "&since=nonsense")["history"]["points"] >= first["history"]["points"]
    assert data(site, "&since=99999999999")["history"] == {"step_seconds": 0, "end_time": None, "points": 0, "window": 0}


# Prometheus

def test_prometheus_is_as_prometheus_wants_it(site):
    answer = get(site, "?format=prometheus")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert PROMTOOL, "promtool is missing: make calls build-aux/bootstrap.sh, which gets it; or set KF_PROMTOOL"
    checked = subprocess.run([PROMTOOL, "check", "metrics"], input=answer.body, capture_output=True, check=False)
    assert checked.returncode == 0 and not checked.stdout and not checked.stderr, checked
    families = {f.name: f for f in text_string_to_metric_families(answer.body.decode())}
    assert all(name.startswith("kinesis_forward_") and f.documentation for name, f in families.items())
    assert {f.type for f in families.values()} == {"counter", "gauge", "histogram"}
    delivered = {s.labels["connection"]: s.value for s in families["kinesis_forward_delivered_records"].samples}
    assert delivered == {"one": 3, "lake": 0}
    for family in families.values():
        if family.type != "histogram":
            continue
        for name in ("one", "lake"):
            of = [s for s in family.samples if s.labels["connection"] == name]
            buckets = [s.value for s in of if s.name.endswith("_bucket")]
            assert buckets == sorted(buckets)
            assert buckets[-1] == next(s.value for s in of if s.name.endswith("_count"))


def test_every_metric_is_documented(site):
    text = (SOURCE / "docs" / "metrics.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `(kinesis_forward_\w+)`", text, re.MULTILINE))
    body = get(site, "?format=prometheus").body.decode()
    assert set(re.findall(r"^# TYPE (\w+) ", body, re.MULTILINE)) == listed


# Health

def test_health(aws, httpd):
    server = httpd(status_page.config(aws.url))
    assert (answer := get(server, "?health")).status == 200 and answer.body == b"ok\n"
    # AWS that is away closes nothing while there is room.
    aws.stop_accepting(drop=True)
    server.allow("KF0405", "KF0305")
    assert server.post("/v2/events", batch()).status == 202
    server.wait_log("KF0405")
    assert get(server, "?health").status == 200
    aws.resume_accepting()


def test_health_of_a_store_that_is_full(aws, httpd):
    aws.stop_accepting(drop=True)
    server = httpd(status_page.config(aws.url, "KinesisStoreLimit 16M"))
    server.allow("KF0202", "KF0405", "KF0305")
    for size in (900_000, 20_000):
        body = batch(unique(), note="x" * size)
        wait_until(lambda b=body: server.post("/v2/events", b).status == 503, "a full store")
    answer = wait_until(lambda: (a := get(server, "?health")).status == 503 and a, "health to tell")
    assert b"full" in answer.body and answer.body.count(b"\n") == 1
    assert get(server, "?health", "HEAD").status == 503
    assert data(server)["accepting"] is False and data(server)["state"] == "failing"
    aws.resume_accepting()


# Changes

@pytest.fixture(scope="module")
def changing(module_aws, module_httpd) -> Httpd:
    """A server whose dead letters tests change."""
    return module_httpd(status_page.config(module_aws.url))


def refused(server: Httpd, fields: dict, headers: dict[str, str]) -> str:
    answer = post(server, fields, {"Content-Type": FORM["Content-Type"], **headers})
    assert answer.status == 403, answer
    return answer.body.decode()


def test_changes_from_elsewhere_are_refused(changing):
    good = {"token": token(changing), "discard": "1"}
    origin = f"http://127.0.0.1:{changing.port}"
    assert "another site" in refused(changing, good, {})
    assert "another site" in refused(changing, good, {"Sec-Fetch-Site": "cross-site", "Origin": origin})
    assert "another site" in refused(changing, good, {"Sec-Fetch-Site": "same-site"})
    assert "another site" in refused(changing, good, {"Origin": "http://evil.example"})
    assert "another site" in refused(changing, good, {"Origin": "null"})
    assert "another site" in refused(changing, good, {"Origin": f"http://127.0.0.1:{changing.port}.evil.example"})
    assert "another site" in refused(changing, good, {"Referer": origin + PATH})
    for headers in ({"Sec-Fetch-Site": "same-origin"}, {"Origin": origin}):
        assert "load it again" in refused(changing, {"discard": "1"}, headers)
        assert "load it again" in refused(changing, {**good, "token": "0" * len(good["token"])}, headers)
        assert "load it again" in refused(changing, {**good, "token": good["token"][:-1]}, headers)
        assert post(changing, good, {"Content-Type": FORM["Content-Type"], **headers}).status == 303
    # What reads changes nothing, whatever it asks for.
    assert get(changing, f"?discard=1&token={good['token']}").status == 200


def test_forms_that_are_wrong(changing):
    good = {"token": token(changing)}
    assert post(changing, good).status == 400
    assert post(changing, {**good, "discard": "all"}).status == 400
    assert post(changing, {**good, "selected": "replay"}).status == 400
    assert post(changing, {**good, "selected": "sell", "letter": "1"}).status == 400
    assert post(changing, {**good, "discard-all": ""}).status == 400
    assert post(changing, {**good, "discard": "1", "more": "x" * 40000}).status == 413
    answer = changing.request("POST", PATH, b'{"discard":1}', {"Content-Type": "application/json",
                                                              "Sec-Fetch-Site": "same-origin"})
    assert answer.status == 415


def test_dead_letters_without_scripts(aws, httpd):
    """Preview, download, replay and discard with plain forms; replayed letters arrive."""
    server = httpd(status_page.config(aws.url))
    names = [unique() for _ in range(3)]
    status_page.poison(aws)
    status_page.post_poisoned(server, names)
    letters = wait_letters(server, 3)
    shown = page(server)
    # The bytes come only when they are asked for.
    assert not any(name in shown.text for name in names)
    newest = letters[0]["letter"]
    letter = get(server, f"?letter={newest}")
    assert letter.headers["Content-Type"] == "application/octet-stream"
    assert letter.headers["Content-Disposition"] == f'attachment; filename="letter-{newest}"'
    of = {item["letter"]: json.loads(get(server, f"?letter={item['letter']}").body)["source_request_id"]
          for item in letters}
    assert sorted(of.values()) == sorted(names)
    preview = get(server, f"?preview={newest}")
    assert preview.headers["Content-Type"] == "text/plain; charset=utf-8" and of[newest] in preview.body.decode()
    # Sent again, the browser is told where to go on.
    aws.remove_fault("poison")
    answer = shown.press(server, "replay", str(newest))
    assert answer.status == 303 and answer.headers["Location"] == f"{PATH}?done=replay&n=1#letters"
    assert "1 dead letter will be sent again" in page(server, "?done=replay&n=1").text
    server.wait_log("KF0524: replay: 1")
    ledger.wait_ids(aws, [of[newest]])
    letters = wait_letters(server, 2)
    answer = page(server).press(server, "discard", str(letters[0]["letter"]))
    assert answer.headers["Location"] == f"{PATH}?done=discard&n=1#letters"
    assert page(server).press(server, "replay-all", "one").status == 303
    ledger.wait_ids(aws, [of[letters[1]["letter"]]])
    wait_letters(server, 0)
    assert get(server, f"?letter={newest}").status == 404
    assert get(server, "?letter=x").status == 400


def test_changes_by_script(aws, httpd):
    server = httpd(status_page.config(aws.url))
    status_page.poison(aws)
    status_page.post_poisoned(server, [unique() for _ in range(3)])
    letters = wait_letters(server, 3)
    fields = [("token", token(server)), ("selected", "discard"), *[("letter", str(item["letter"])) for item in letters[:2]]]
    answer = post(server, fields, {**FORM, "Accept": "application/json"})
    assert answer.status == 200 and json.loads(answer.body) == {"changed": 2, "message": "2 dead letters were discarded."}
    answer = post(server, [("token", "x"), *fields[1:]], {**FORM, "Accept": "application/json"})
    assert answer.status == 403 and json.loads(answer.body)["changed"] == 0
    wait_letters(server, 1)


def test_alerts(aws, httpd):
    """An alert is listed while it goes on, can be acknowledged, and is over in the end."""
    aws.add_fault("access_denied", id="denied")
    server = httpd(status_page.config(aws.url))
    server.allow("KF0306", "KF0305")
    assert server.post("/v2/events", batch()).status == 202
    alert = wait_until(lambda: next((a for a in data(server)["alerts"]["list"] if a["id"] == "KF0306" and a["alert"]), None),
                       "the alert, in the index")
    assert alert["active"] and not alert["acknowledged"] and alert["connection"] == "one" and alert["count"] >= 1
    assert alert["first_time"] <= alert["last_time"]
    assert data(server)["state"] == "degraded"
    assert re.search(rb'kinesis_forward_alerts\{level="warning"\} [1-9]', get(server, "?format=prometheus").body)
    answer = page(server).press(server, "acknowledge", str(alert["alert"]))
    assert answer.status == 303 and answer.headers["Location"] == f"{PATH}?done=acknowledge&n=1#alerts"
    assert "The alert is acknowledged." in page(server, "?done=acknowledge&n=1").text
    assert next(a for a in data(server)["alerts"]["list"] if a["alert"] == alert["alert"])["acknowledged"]
    assert post(server, {"token": token(server), "acknowledge": "999999"}).headers["Location"].endswith("n=0#alerts")
    aws.remove_fault("denied")
    wait_until(lambda: not next(a for a in data(server)["alerts"]["list"] if a["alert"] == alert["alert"])["active"],
               "the alert to be over")


def test_a_page_outlives_a_graceful_restart(changing):
    shown = page(changing)
    changing.graceful()
    form = shown.forms[0]
    assert post(changing, [*form.fields, ("discard", "1")]).status == 303


def test_pages_of_letters(aws, httpd):
    server = httpd(status_page.config(aws.url))
    status_page.poison(aws)
    status_page.post_poisoned(server, [unique() for _ in range(60)])
    first = wait_letters(server, 60)
    assert len(first) == 50
    before = data(server)["dead_letters"]["next_before"]
    rest = data(server, f"&before={before}")["dead_letters"]
    assert len(rest["page"]) == 10 and rest["next_before"] == 0
    ids = [item["letter"] for item in first + rest["page"]]
    assert ids == sorted(ids, reverse=True) and len(set(ids)) == 60
    assert len(data(server, "&letters=one")["dead_letters"]["page"]) == 50
    assert data(server, "&letters=other")["dead_letters"]["page"] == []
    assert "Older" in page(server).text


# Text of others

def put_letter(server: Httpd, name: str, text: str) -> None:
    """A letter as an older configuration might have left it."""
    database = sqlite3.connect(server.root / "store" / "index.db", timeout=DEADLINE)
    with database:
        database.execute("INSERT INTO connection (name) VALUES (?)", (name, ))
        database.execute("INSERT INTO dead_letter (connection, reason, code, message, request_id, attempts, accepted_us, "
                         "failed_us, kind, events, key, data) SELECT id, ?2, ?2, ?2, ?2, 1, 1, 1, 0, 1, x'', ?3 "
                         "FROM connection WHERE name = ?1", (name, text, text.encode()))
    database.close()


def test_text_of_others_is_text(aws, httpd):
    """AWS's message, names, the sender's headers and a query, full of markup and control characters."""
    server = httpd(status_page.config(aws.url, more=section("Location", '"/server-status"', ["SetHandler server-status"])),
                   modules=("status", ))
    status_page.poison(aws, NASTY)
    status_page.post_poisoned(server, [unique()])
    letter = wait_letters(server, 1)[0]
    assert SCRIPT in letter["message"]
    assert SCRIPT in data(server)["connections"][0]["last_error"]["message"]
    put_letter(server, NASTY, NASTY)
    letter = wait_letters(server, 2)[0]
    assert {letter[name] for name in ("connection", "reason", "code", "message", "request_id")} == {SHOWN}
    headers = {"User-Agent": SCRIPT, "X-Forwarded-For": SCRIPT}
    for query in ("", "?letters=" + "%3Cscript%3Ealert(1)%3C/script%3E", "?done=%3Cscript%3E&n=1", "?before=%3Cscript%3E",
                  "?format=json", "?format=prometheus", f"?preview={letter['letter']}"):
        body = get(server, query, headers=headers).body.decode()
        assert "\x1b" not in body and "\u202e" not in body, query
        if "format" not in query and "preview" not in query:
            assert "<script>" not in body and "alert('x')" not in body, query
    assert SHOWN in page(server).text
    answer = server.client.raw(f"GET {PATH} HTTP/1.1\r\nHost: <script>\r\nConnection: close\r\n\r\n".encode())
    assert b"<script>" not in answer.body
    assert b"<script" not in server.request("GET", "/server-status").body


# Beside other things

@pytest.mark.parametrize("mpm", MPMS)
def test_the_page_on_each_mpm(aws, httpd, mpm):
    server = httpd(status_page.config(aws.url), mpm=mpm)
    status_page.poison(aws)
    status_page.post_poisoned(server, [unique()])
    wait_letters(server, 1)
    assert data(server)["server"]["mpm"] == mpm
    assert page(server).press(server, "discard-all", "one").status == 303
    wait_letters(server, 0)


def test_mod_status(site):
    answer = site.request("GET", "/server-status")
    assert b"Kinesis forwarding" in answer.body and b"healthy: posts are taken" in answer.body
    assert re.search(rb"<th[^>]*>one</th>", answer.body)
    assert b"<dt>one</dt>" in site.request("GET", "/server-status?notable").body
    lines = dict(line.split(": ", 1) for line in site.request("GET", "/server-status?auto").body.decode().splitlines()
                 if line.startswith("Kinesis"))
    assert lines["KinesisForwardState"] == "healthy"
    assert lines["KinesisConnection-one-Delivered"] == "3" and lines["KinesisConnection-lake-Delivered"] == "0"


def test_without_connections(httpd):
    server = httpd(STATUS)
    assert get(server, "?health").status == 503
    assert "None is configured" in page(server).text
    assert data(server)["connections"] == []
    assert get(server, "?format=prometheus").status == 200
    assert get(server, "?letter=1").status in (404, 503)


def test_an_index_that_cannot_be_used(aws, httpd):
    """Posts are taken all the same; the page says what is wrong, and fills no log by being looked at."""
    server = httpd(status_page.config(aws.url))
    server.stop()
    for old in server.root.glob("store/index.db*"):
        old.unlink()
    (server.root / "store" / "index.db").write_bytes(b"no database at all, " * 500)
    server.allow("KF0502", "KF0611", "KF0613")
    server.start()
    assert "The index cannot be read." in page(server).text
    found = data(server)
    assert found["state"] == "degraded" and found["accepting"]
    assert found["dead_letters"]["error"] and found["dead_letters"]["page"] == []
    assert get(server, "?health").status == 200
    assert get(server, "?letter=1").status == 503
    assert post(server, {"token": token(server), "discard": "1"}).status == 503
    before = len(re.findall("KF061[13]", server.log()))
    for _ in range(20):
        data(server)
    assert len(re.findall("KF061[13]", server.log())) <= before + 2


def test_a_child_that_cannot_deliver(aws, httpd):
    """A restart that finds no store: the page says why nothing is taken."""
    config = status_page.config(aws.url)
    server = httpd(config)
    server.configure(config.replace("KinesisRegion", 'KinesisStoreDirectory "@ROOT@/htdocs/none/store"\nKinesisRegion', 1))
    text = server.config_file.read_text().replace(f'KinesisStoreDirectory "{server.root}/store"\n', "", 1)
    server.config_file.write_text(text)
    server.allow("KF0502", "KF0505")
    server.graceful()
    answer = wait_until(lambda: (a := get(server, "?health")).status == 503 and a, "health to tell")
    assert b"KF0505" in answer.body
    found = data(server)
    assert found["state"] == "failing" and not found["accepting"] and not found["server"]["delivering"]
    assert "failing: the store cannot be used" in page(server).text
    assert get(server, "?format=prometheus").status == 200


def test_require_keeps_others_out(aws, httpd):
    """Access is httpd's: the page itself opens to nobody who may not."""
    closed = STATUS.replace("Require local", "Require all denied")
    server = httpd(configs.one_of_each(aws.url) + closed)
    server.allow("AH01630")
    for method in ("GET", "HEAD", "POST", "OPTIONS"):
        assert get(server, method=method).status == 403


# What it costs

ONE_CHILD = "ServerLimit 1\nStartServers 1\nMaxRequestWorkers 16\nMaxSpareThreads 16"


def connections_config(url: str, count: int) -> str:
    return defaults(url) + "".join(connection(f"c{i}") for i in range(count)) + location("/v2/events", "c0") + STATUS


@pytest.mark.parametrize("count", [1, 10, 50])
def test_cost_of_a_scrape(aws, httpd, record_property, count):
    """Measured, not judged: CPU time of the server's processes for one answer."""
    server = httpd(connections_config(aws.url, count), mpm_lines=ONE_CHILD)
    numbers = []
    for query in ("?format=json", "?format=json&since=1e15", "?format=prometheus", "", "?health"):
        numbers.append(f"{query or 'html'} {cost_of(server, query) * 1000:.2f} ms, {len(get(server, query).body)} bytes")
    record_property("numbers", f"{count} connections: " + "; ".join(numbers))


def cost_of(server: Httpd, query: str, times: int = 100) -> float:
    client = server.client.open()
    try:
        before = cpu_of(server)
        for _ in range(times):
            client.request("GET", PATH + query)
            client.getresponse().read()
        return (cpu_of(server) - before) / times
    finally:
        client.close()


def cpu_of(server: Httpd) -> float:
    ticks = 0
    for pid in server.processes():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
