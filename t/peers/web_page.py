"""The page of page.html with one release of the Web SDK, in chromium: opened, driven, and asked what the SDK has sent."""
from __future__ import annotations

import json
from typing import Any, Iterable
from urllib.parse import urlencode

from browser import Browser
from httpd_server import wait_until
from peers_site import NEWEST, PATIENCE, Site

ACCEPTED = (202, True)


class WebPage:
    def __init__(self, browser: Browser, site: Site, name: str, way: str = "url", release: str = NEWEST,
                 offline: bool = False, host: str = "") -> None:
        """Opens it as somebody who was never there, and waits until the SDK knows who that is.

        `offline`: mParticle has switched on that the SDK stores what it could not send; `host` stands before the site's."""
        self.browser, self._blank = browser, site.page(release)
        settings = {"way": way, "host": host or site.host, "name": name, "offline": offline}
        self._address = f"{self._blank}?{urlencode(settings)}"
        browser.open(self._blank)
        browser.run("localStorage.clear(); sessionStorage.clear()")
        browser.open(self._address)
        self.wait_ready()

    def wait_ready(self) -> None:
        wait_until(lambda: self.do("return typeof kf !== 'undefined' && kf.ready()"), "the SDK to know its user", PATIENCE)

    def do(self, script: str) -> Any:
        return self.browser.run(script)

    def notes(self) -> list[dict]:
        """Each upload so far: how, url, type, body, and the status, the error's text, or None while there is neither."""
        return self.do("return kf.sent()")

    def settle(self) -> list[dict]:
        """The notes, once all that the page logged was accepted."""
        def settled() -> list[dict]:
            sent, logged = self.notes(), set(self.do("return kf.logged()"))
            return sent if logged <= names_of(accepted(sent)) and all(note["status"] is not None for note in sent) else []
        return wait_until(settled, "the SDK to send all that it was given", PATIENCE)

    def leave(self) -> None:
        """To the next page of the site, in the turn in which something was logged."""
        self.do("kf.leave()")
        wait_until(lambda: "&again" in self.browser.driver.current_url, "the next page", PATIENCE)
        self.wait_ready()

    def end(self) -> list[dict]:
        """All notes, after the page was closed."""
        self.browser.open("about:blank")
        self.browser.open(self._blank)
        return self.notes()


def accepted(notes: Iterable[dict]) -> list[dict]:
    """What was answered with 202, or taken by the browser as a beacon."""
    return [note for note in notes if note["status"] in ACCEPTED]


def events_of(note: dict) -> list[dict]:
    return json.loads(note["body"])["events"]


def names_of(notes: Iterable[dict]) -> set[str]:
    """The names that the page gave to the events in these uploads."""
    return {(event["data"].get("custom_attributes") or {}).get("kf_event") for note in notes for event in events_of(note)} - {None}


def ends(notes: Iterable[dict]) -> int:
    return sum(event["event_type"] == "session_end" for note in notes for event in events_of(note))
