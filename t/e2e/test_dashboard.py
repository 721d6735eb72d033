"""The dashboard in Debian's chromium: it lives under load and faults, can be worked with, and keeps to itself.

Screenshots are left in the build folder, t/screenshots."""
from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Iterator

import pytest

import ledger
import status_page
from browser import CONTRAST, DESKTOP, NAMELESS, PHONE, Browser
from configs import batch, connection, location, unique
from httpd_server import DEADLINE, Httpd, Missing, wait_until
from status_page import PATH, Page, data, get, wait_letters

CARD = 'article[data-connection="one"]'


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    try:
        browser = Browser()
    except Missing as missing:
        # Elsewhere than on Debian there may be no package of it.
        if "ID=debian" in Path("/etc/os-release").read_text(encoding="utf-8").splitlines():
            pytest.fail(str(missing))
        pytest.skip(str(missing))
    # What it shows by itself when it starts.
    browser.open("about:blank")
    browser.requests()
    yield browser
    browser.close()


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    """Each test must leave the console empty, and may have asked nobody else for anything."""
    chromium.resize(DESKTOP)
    chromium.scheme("light")
    yield chromium
    chromium.open("about:blank")
    assert chromium.console() == []
    strangers = [url for url in chromium.requests() if not re.match(r"http://127\.0\.0\.1:\d+/|about:|data:", url)]
    assert strangers == []


class Load:
    """Posts batches until the end."""

    def __init__(self, server: Httpd, path: str = "/v2/events") -> None:
        self._server, self._path = server, path
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ending.set()
        self._thread.join(DEADLINE)

    def _run(self) -> None:
        while not self._ending.wait(0.02):
            self._server.post(self._path, batch())


def address(server: Httpd) -> str:
    return f"http://127.0.0.1:{server.port}{PATH}"


def throughput(browser: Browser, line: str = ".line.first") -> str:
    return browser.attribute(f'{CARD} [data-first="delivered_records"] .canvas {line}', "d")


def test_it_lives_under_load_and_faults(aws, httpd, browser):
    """Numbers and plots move by themselves, trouble appears and clears, a dead letter is replayed and arrives."""
    aws.add_stream("second")
    more = connection("two", stream="second") + location("/v2/two", "two")
    server = httpd(status_page.config(aws.url, more=more))
    server.allow("KF0406", "KF0305", "KF0306", "KF0304")
    browser.open(address(server))
    assert browser.text("#overall").startswith("✓ Healthy")
    with Load(server):
        wait_until(lambda: browser.text(f'{CARD} [data-f="counters.delivered_records"]') not in ("0", "1"), "numbers to move")
        wait_until(lambda: "L" in throughput(browser) or "h" in throughput(browser), "the first point of the plot")
        # Trouble
        aws.add_fault("access_denied", match={"stream": "second"}, id="denied")
        assert server.post("/v2/two", batch()).status == 202
        card = 'article[data-connection="two"]'
        wait_until(lambda: "on hold" in browser.text(f"{card} .badge"), "the connection to be shown on hold")
        wait_until(lambda: browser.text("#overall").startswith("! Degraded"), "the state at the top to tell")
        assert "permission" in browser.text(f"{card} .trouble .advice")
        assert "AccessDenied" in browser.text(f"{card} .error")
        wait_until(lambda: "a connection is on hold" in browser.text("#alerts tr.active"), "the alert to be listed")
        browser.click("#alerts tr.active:not(.acknowledged) button[name=acknowledge]")
        wait_until(lambda: browser.count("#alerts tr.acknowledged") == 1, "the alert to be acknowledged")
        # A record that AWS refuses
        name = unique()
        status_page.poison(aws)
        status_page.post_poisoned(server, [name])
        wait_until(lambda: browser.count("#letters tbody tr") == 1, "the dead letter to be shown")
        wait_until(lambda: browser.text("#letters .totals li a") == "one", "its connection to be listed")
        before = throughput(browser)
        wait_until(lambda: throughput(browser) != before, "the plot to move on")
        for scheme in ("light", "dark"):
            browser.scheme(scheme)
            for look, size in (("desktop", DESKTOP), ("phone", PHONE)):
                browser.resize(size)
                browser.picture(f"faults-{scheme}-{look}")
        browser.resize(DESKTOP)
        # All is put right
        aws.remove_fault("denied")
        aws.remove_fault("poison")
        browser.click("#letters tbody tr button[name=replay]")
        wait_until(lambda: "will be sent again" in browser.text("#notice"), "the answer to the click")
        ledger.wait_ids(aws, [name])
        wait_until(lambda: browser.count("#letters tbody tr") == 0, "the dead letter to go")
        wait_until(lambda: "on hold" not in browser.text(f"{card} .badge"), "the hold to be over")
        wait_until(lambda: not browser.count(f"{card} .trouble"), "the trouble to go")
        wait_until(lambda: "a connection is on hold" not in browser.text("#alerts tr.active"), "the alert to be over")
    wait_until(lambda: not browser.run("return document.querySelector('#live').classList.contains('stale')"), "live")


def test_letters_by_hand(aws, httpd, browser):
    """Preview in place, selecting several, discarding with a second click."""
    server = httpd(status_page.config(aws.url))
    status_page.poison(aws, "<img src=x onerror=alert(1)> & \"so on\"")
    names = [unique() for _ in range(3)]
    status_page.post_poisoned(server, names)
    wait_letters(server, 3)
    browser.open(address(server))
    assert "<img src=x onerror=alert(1)>" in browser.text("#letters tbody")
    browser.click("#letters tbody tr:first-child a[data-link='?preview=']")
    shown = wait_until(lambda: browser.text("#letters .preview"), "the preview")
    assert any(name in shown for name in names)
    browser.click("#letters tbody tr:nth-child(1) input")
    browser.click("#letters tbody tr:nth-child(2) input")
    status_page.post_poisoned(server, [unique()])
    # A new row comes in above; what was chosen and opened stays so.
    wait_until(lambda: browser.count("#letters tbody tr") == 4, "the new letter")
    assert browser.run("return [...document.querySelectorAll('#letters tbody input')].map((n) => n.checked)") == \
        [False, True, True, False]
    assert browser.count("#letters .preview") == 1
    browser.click("#letters .bulk summary")
    browser.click("#letters .bulk .danger")
    wait_until(lambda: "2 dead letters were discarded" in browser.text("#notice"), "the answer")
    wait_until(lambda: browser.count("#letters tbody tr") == 2, "the letters to go")
    assert data(server)["dead_letters"]["total"] == 2


def test_it_says_when_it_is_stale_and_recovers(aws, httpd, browser):
    server = httpd(status_page.config(aws.url))
    browser.open(address(server))
    wait_until(lambda: browser.text("#live").endswith("live"), "the page to live")
    server.stop()
    wait_until(lambda: browser.text("#live").startswith("Stale since"), "the page to notice")
    server.start()
    wait_until(lambda: browser.text("#live").endswith("live"), "the page to recover")
    # What the browser itself says of requests that nobody answered.
    assert all("ERR_CONNECTION" in line or "ERR_EMPTY_RESPONSE" in line for line in browser.console())


def test_it_lives_before_anything_is_configured(httpd, browser):
    server = httpd(status_page.STATUS)
    browser.open(address(server))
    wait_until(lambda: browser.text("#live").endswith("live"), "the page to live")
    assert "no connection is configured" in browser.text("#overall")
    assert browser.count(".server") == 0, "figures of nothing"
    browser.run("document.getElementById('live').textContent = ''")
    wait_until(lambda: browser.text("#live"), "the next answer")
    assert browser.text("#live").endswith("live")


def test_a_reload_of_the_configuration_is_noticed(aws, httpd, browser):
    server = httpd(status_page.config(aws.url))
    browser.open(address(server))
    wait_until(lambda: browser.text("#live").endswith("live"), "the page to live")
    server.configure(status_page.config(aws.url, more=connection("three")))
    server.graceful()
    wait_until(lambda: browser.count('article[data-connection="three"]') == 1, "the new connection")


def test_keyboard(aws, httpd, browser):
    """Everything can be reached and read without a pointer, and where one is, is seen."""
    server = httpd(status_page.config(aws.url))
    with Load(server):
        wait_until(lambda: data(server)["history"]["points"] > 0, "a point of the history")
        browser.open(address(server))
        wait_until(lambda: browser.text("#live").endswith("live"), "the page to live")
    seen = []
    for _ in range(60):
        browser.keys("\ue004")
        where = browser.run("""const n = document.activeElement, s = getComputedStyle(n);
            return [n.tagName + '.' + n.className, s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0]""")
        if where[0] == "BODY." or (seen and where[0] == seen[0]):
            break
        assert where[1], f"{where[0]} does not show that it has the focus"
        seen.append(where[0])
    assert {"A.skip", "DIV.canvas", "SUMMARY."} <= set(seen)
    plot = f'{CARD} [data-first="delivered_records"]'
    browser.run("document.querySelector(arguments[0]).focus()", f"{plot} .canvas")
    browser.keys("\ue010")
    assert re.match(r"\d\d:\d\d:\d\d", browser.text(f"{plot} .reading"))
    last = browser.text(f"{plot} .reading")
    browser.keys("\ue012")
    assert browser.text(f"{plot} .reading") != last


# Tables that would have to be scrolled sideways.
WIDE = "return [...document.querySelectorAll('section > form')].filter((f) => f.scrollWidth > f.clientWidth).map((f) => f.ariaLabel)"


def test_looks(aws, httpd, browser):
    """Contrast in light and dark, names for everything, no scrolling sideways, no motion for those who want none."""
    server = httpd(status_page.config(aws.url))
    status_page.poison(aws)
    status_page.post_poisoned(server, [unique()])
    wait_letters(server, 1)
    wait_until(lambda: data(server)["alerts"]["list"], "the alert of it")
    browser.open(address(server))
    wait_until(lambda: browser.text("#live").endswith("live"), "the page to live")
    for scheme in ("light", "dark"):
        browser.scheme(scheme)
        for look, size in (("desktop", DESKTOP), ("phone", PHONE)):
            browser.resize(size)
            assert browser.run(CONTRAST) == [], f"{scheme}, {look}"
            assert browser.run("return document.documentElement.scrollWidth <= innerWidth"), look
            assert browser.run(WIDE) == [], look
            browser.picture(f"quiet-{scheme}-{look}")
    assert browser.run(NAMELESS) == []
    assert browser.run("return document.documentElement.lang") == "en"
    grounds = {}
    for scheme in ("light", "dark"):
        browser.scheme(scheme)
        grounds[scheme] = browser.run("return getComputedStyle(document.documentElement).backgroundColor")
    assert grounds["light"] != grounds["dark"]


def test_the_policy_is_kept(aws, httpd, browser):
    """Whatever got into the page could neither run nor load anything."""
    server = httpd(status_page.config(aws.url))
    browser.open(address(server))
    browser.run("""const s = document.createElement('script'); s.textContent = 'window.ran = true'; document.body.append(s);
        const d = document.createElement('div'); d.innerHTML = '<img src="http://127.0.0.1:1/x" onerror="window.ran = true">';
        document.body.append(d);""")
    said = []
    wait_until(lambda: said.extend(browser.console()) or len(said) >= 2, "the browser to refuse")
    assert all("Content Security Policy" in line for line in said)
    assert browser.run("return window.ran") is None


def shown_by_server(server: Httpd) -> dict[str, str]:
    """What the server writes into each figure and plot of the first connection, the plots by their lines."""
    text = get(server).body.decode()
    card = text[text.index("<article"):text.index("</article>")]
    figures = dict(re.findall(r'data-f="([a-z_0-9.]+)"[^>]*>([^<]*)<', card))
    plots = {f"{kind} {name}": path for kind, inner in re.findall(r'<figure[^>]*data-kind="(\w+)"(.*?)</figure>', card, re.S)
             for name, path in re.findall(r'<path class="(area|line first|line second|marks)" d="([^"]*)"',
                                          inner[inner.index("canvas"):])}
    labels = {f"most {i}": value for i, value in enumerate(re.findall(r'class="most">([^<]*)<', card))}
    spoken = {f"label {i}": value for i, value in enumerate(re.findall(r'role="img" aria-label="([^"]*)"', card))}
    return {**figures, **plots, **labels, **spoken}


SHOWN_BY_SCRIPT = """
    const card = document.querySelector('article'), shown = {};
    for (const n of card.querySelectorAll('[data-f]')) shown[n.dataset.f] = n.textContent;
    for (const f of card.querySelectorAll('figure'))
        for (const p of f.querySelectorAll('.canvas path'))
            if (p.getAttribute('class') != 'grid' && p.getAttribute('class') != 'cursor')
                shown[f.dataset.kind + ' ' + p.getAttribute('class')] = p.getAttribute('d');
    card.querySelectorAll('.most').forEach((n, i) => shown['most ' + i] = n.textContent);
    card.querySelectorAll('.canvas').forEach((n, i) => shown['label ' + i] = n.getAttribute('aria-label'));
    return shown;"""


def test_script_and_server_show_the_same(aws, httpd, browser):
    server = httpd(status_page.config(aws.url))
    with Load(server):
        wait_until(lambda: data(server)["history"]["points"] > 0, "a point of the history")
        browser.open(address(server))
    wait_until(lambda: "L" in throughput(browser) or "h" in throughput(browser), "the plot")

    def same() -> bool:
        # Between two points of the history, when nothing happens.
        first, script, second = shown_by_server(server), browser.run(SHOWN_BY_SCRIPT), shown_by_server(server)
        if first != second:
            return False
        assert set(first) == set(script)
        different.clear()
        different.update({name: (value, script[name]) for name, value in first.items() if value != script[name]})
        return not different

    different: dict[str, tuple[str, str]] = {}
    try:
        wait_until(same, "the script to show what the server shows")
    except AssertionError as late:
        raise AssertionError(f"server and script differ: {different}") from late


def test_without_scripts_the_page_is_the_same(aws, httpd):
    """What a plain client gets has everything that the script would fill in."""
    server = httpd(status_page.config(aws.url))
    shown = Page(get(server).body.decode())
    assert "Kinesis stream events" in shown.text and "healthy" in shown.text
    assert [form.method for form in shown.forms] == ["post"] * 3
