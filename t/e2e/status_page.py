"""What tests of the status page share: a server with one, its requests as a browser makes them, and forms."""
from __future__ import annotations

import html.parser
import json
import urllib.parse
from dataclasses import dataclass, field
from typing import Any

import configs
from client import Answer
from configs import batch, connection, defaults, location, section
from httpd_server import Httpd, wait_until
from standin import StandIn

PATH = "/kinesis-status"
STATUS = section("Location", f'"{PATH}"', ["SetHandler kinesis-forward-status", "Require local"])
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
POISON = "poisoned"


def get(server: Httpd, query: str = "", method: str = "GET", headers: dict[str, str] | None = None) -> Answer:
    return server.request(method, PATH + query, headers=headers)


def data(server: Httpd, query: str = "") -> dict[str, Any]:
    answer = get(server, "?format=json" + query)
    assert answer.status == 200, answer
    return json.loads(answer.body)


def post(server: Httpd, fields: dict[str, Any] | list[tuple[str, str]], headers: dict[str, str] | None = None) -> Answer:
    return server.request("POST", PATH, urllib.parse.urlencode(fields).encode(), FORM if headers is None else headers)


@dataclass
class Form:
    """A form of a page: its fields and buttons, as they would be sent."""
    action: str = ""
    method: str = ""
    fields: list[tuple[str, str]] = field(default_factory=list)
    buttons: list[tuple[str, str]] = field(default_factory=list)


class Page(html.parser.HTMLParser):
    """What a browser without scripts has of a page: its text and its forms; templates are no part of it."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.forms: list[Form] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._template = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self._template = self._template or tag == "template"
        self.tags.append((tag, values))
        if self._template:
            return
        if tag == "form":
            self.forms.append(Form(values["action"] or "", values["method"] or ""))
        elif tag in ("input", "button") and values.get("name"):
            kind = self.forms[-1].buttons if tag == "button" or values.get("type") == "checkbox" else \
                self.forms[-1].fields
            kind.append((values["name"] or "", values.get("value") or ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "template":
            self._template = False

    def handle_data(self, text: str) -> None:
        if not self._template:
            self.text += text

    def press(self, server: Httpd, name: str, value: str, headers: dict[str, str] | None = None) -> Answer:
        """Sends the form that has this button."""
        form = next(f for f in self.forms if (name, value) in f.buttons)
        assert form.method == "post" and form.action == PATH
        return post(server, [*form.fields, (name, value)], headers)


def page(server: Httpd, query: str = "") -> Page:
    answer = get(server, query)
    assert answer.status == 200, answer
    return Page(answer.body.decode())


def token(server: Httpd) -> str:
    return dict(page(server).forms[0].fields)["token"]


def config(url: str, *lines: str, more: str = "") -> str:
    """A connection `one`, fed by /v2/events, and the page."""
    return configs.one_of_each(url, "KinesisRetryBackoff 10ms 200ms", *lines) + STATUS + more


def poison(aws: StandIn, message: str | None = None) -> None:
    """Records with POISON are refused from now on."""
    aws.add_fault("poison", contains=POISON, id="poison", message=message)


def post_poisoned(server: Httpd, names: list[str], path: str = "/v2/events") -> None:
    """Posts batches that become dead letters, with good ones: where all are refused it may be the stream."""
    server.allow("KF0304", "KF0305")
    bodies = [batch(name, note=POISON) for name in names] + [batch() for _ in range(5)]
    assert server.post(path, b"[" + b",".join(bodies) + b"]").status == 202


def wait_letters(server: Httpd, count: int) -> list[dict[str, Any]]:
    """Waits until there are so many dead letters; the page of them."""
    return wait_until(lambda: (found := data(server)["dead_letters"])["total"] == count and (found["page"] or [None]),
                      f"{count} dead letters")
