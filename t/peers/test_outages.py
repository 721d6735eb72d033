"""A site whose server, or whose AWS, is away for some seconds while mParticle's Web SDK sends: what the SDK does then, that
every event which it uploads in the end arrives as it was, and that what arrives twice was sent twice.

The account stands in the build folder, peers.build/outages/trace.txt and .json."""
from __future__ import annotations

import time
from collections import Counter
from contextlib import contextmanager
from typing import Callable, Iterator

import pytest

import rawjson
import readers
from configs import batch, connection, location
from httpd_server import wait_until
from peers_site import BUILD, NEWEST, PATIENCE, RELEASES, Site, open_site
from relay import Relay
from standin import StandIn
from trace import Route, Trace, key_of
from web_page import WebPage, accepted, ends, names_of

# The window is longer than an answer that is lost and the repeat that follows.
MODES = {"each": ("KinesisBatchWindow 0", ), "window": ("KinesisSendAsBatch On", "KinesisBatchWindow 40s"),
         "complete": ("KinesisWaitForCompleteBatch On", "KinesisSessionGrace 3s")}
CHANGES = ("KinesisIncludeUserAttributeChangeEvents On", "KinesisIncludeUserIdentityChangeEvents On")
AWAY_SECONDS = 4
OLDEST = RELEASES[-1]
# More than a browser takes as a beacon.
BEACON_LIMIT = 64 << 10
FAILED = "TypeError: Failed to fetch"
RETRYING = ("KF0405", "KF0305")


class Outages:
    """The site, its two AWS, and what its pages have sent."""

    def __init__(self, site: Site, aws: StandIn, other_aws: StandIn) -> None:
        self.site, self.aws, self.other_aws = site, aws, other_aws
        self.senders: list[str] = []
        self.lost: set[str] = set()

    def note(self, sender: str, notes: list[dict], begun: float, lost_answers: int = 0) -> None:
        """What was accepted, and how often each upload was: the answers to the last repeats are known, others were lost."""
        self.senders.append(sender)
        for note in accepted(notes):
            self.site.sent(sender, note["how"], note["body"], begun)
        if lost_answers:
            again = [note["body"] for note in notes if note["status"] == FAILED]
            for upload in self.site.uploads:
                if upload.sender == sender and rawjson.dump(upload.batch).decode() in again:
                    upload.times += 1


@pytest.fixture(scope="module")
def outages(module_httpd, tmp_path_factory) -> Iterator[Outages]:
    with StandIn(streams={stream: 2 for stream in MODES}) as aws, StandIn(streams={"filler": 1}) as other_aws:
        peers = {"stand-in": readers.KinesisReader("stand-in", aws.url, list(MODES), aws, create=False)}
        more = "KinesisRetryBackoff 50ms 500ms\nKinesisStoreLimit 16M\n" + \
            connection("filler", f"KinesisEndpoint {other_aws.url}", "KinesisStoreShare 100", "KinesisBatchWindow 0",
                       stream="filler") + location("/filler", "filler")
        modes = {name: (*lines, *CHANGES) for name, lines in MODES.items()}
        for site in open_site(peers, module_httpd, tmp_path_factory.mktemp("tls"), modes, more=more):
            yield Outages(site, aws, other_aws)


# Ways of being away

@contextmanager
def nobody_listens(outages: Outages) -> Iterator[None]:
    outages.site.server.stop()
    try:
        yield
    finally:
        outages.site.server.start()


@contextmanager
def the_store_is_full(outages: Outages) -> Iterator[None]:
    server = outages.site.server
    server.expect("KF0202")
    server.allow(*RETRYING)
    outages.other_aws.stop_accepting(drop=True)

    def post() -> int:
        return outages.site.request("POST", "/filler", batch(None, padding="x" * 100_000), {"Content-Type": "application/json"}).status
    for _ in range(400):
        if post() == 503:
            break
    else:
        raise AssertionError("the store never filled")
    try:
        yield
    finally:
        outages.other_aws.resume_accepting()


@contextmanager
def aws_is_away(outages: Outages) -> Iterator[None]:
    outages.site.server.allow(*RETRYING)
    outages.aws.stop_accepting(drop=True)
    try:
        yield
    finally:
        outages.aws.resume_accepting()


def log_for(page: WebPage, seconds: float) -> None:
    """An event every third of a second, as someone who uses the page."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        page.do("kf.tick()")
        time.sleep(0.3)


def wait_failed(page: WebPage, failure: object) -> None:
    """The SDK tries the oldest upload again and again, and no other before it."""
    wait_until(lambda: [note["status"] for note in page.notes()].count(failure) >= 2, "the SDK to fail", PATIENCE)


def use_page(outages: Outages, browser, name: str, away: Callable, failure: object, **options: object) -> list[dict]:
    """A session with an outage in its middle; what the page noted of it."""
    begun = time.time()
    page = WebPage(browser, outages.site, name, **options)
    page.do("kf.visit()")
    page.settle()
    with away(outages):
        log_for(page, AWAY_SECONDS)
        page.do("kf.shop()")
        if failure is not None:
            wait_failed(page, failure)
    log_for(page, 1)
    if options.get("offline"):
        outages.lost |= settle_without_all(page)
    else:
        page.settle()
        page.do("kf.endSession(); kf.upload()")
        page.settle()
    notes = page.end()
    outages.note(name, notes, begun)
    return notes


def settle_without_all(page: WebPage) -> set[str]:
    """The events that the SDK's own storage has lost: uploads that fail at the same time overwrite there what the others
    have left. What it still has goes before what comes."""
    for _ in range(2):
        last = page.do("kf.tick(); return kf.logged().at(-1)")
        wait_until(lambda: last in names_of(accepted(page.notes())), "a later event", PATIENCE)
    wait_until(lambda: all(note["status"] is not None for note in page.notes()), "answers", PATIENCE)
    page.do("kf.endSession(); kf.upload()")
    wait_until(lambda: ends(accepted(page.notes())), "the session's end", PATIENCE)
    return set(page.do("return kf.logged()")) - names_of(accepted(page.notes()))


def assert_repeated_unchanged(notes: list[dict], failure: object, lost: set[str] = frozenset()) -> None:
    """What failed was sent again until it was accepted, once, with the same bytes."""
    failed = {note["body"] for note in notes if note["status"] == failure and not names_of([note]) & lost}
    taken = Counter(note["body"] for note in accepted(notes))
    assert failed, f"nothing failed: {Counter(note['status'] for note in notes)}"
    assert failed <= set(taken), "an upload was given up on"
    assert max(taken.values()) == 1, "what was accepted was sent again"


@pytest.mark.parametrize("release, offline", [(NEWEST, False), (NEWEST, True), *((release, False) for release in RELEASES)])
def test_httpd_is_away(outages, browser, release, offline):
    notes = use_page(outages, browser, f"stopped-{release}-{offline:d}", nobody_listens, FAILED, release=release, offline=offline)
    assert {note["status"] for note in notes} - {True} == {202, FAILED}
    assert_repeated_unchanged(notes, FAILED, outages.lost)


@pytest.mark.parametrize("release", [NEWEST, OLDEST])
def test_the_store_is_full(outages, browser, release):
    notes = use_page(outages, browser, f"full-{release}", the_store_is_full, 503, release=release)
    assert_repeated_unchanged(notes, 503)


@pytest.mark.parametrize("release", [NEWEST, OLDEST])
def test_aws_is_away(outages, browser, release):
    """The SDK does not notice."""
    notes = use_page(outages, browser, f"aws-{release}", aws_is_away, None, release=release)
    assert {note["status"] for note in notes} <= {202, True}


def accepted_so_far(outages: Outages, mode: str = "each") -> int:
    return next(one["counters"]["accepted_records"] for one in outages.site.status()["connections"]
                if one["name"] == f"stand-in-{mode}")


@pytest.mark.parametrize("release", [NEWEST, OLDEST])
def test_an_answer_is_lost(outages, browser, release):
    """The SDK sends again what the server has: twice where each batch is forwarded as it comes, once out of a window."""
    name, begun, relay = f"lost-{release}", time.time(), Relay(outages.site.server.port)
    try:
        page = WebPage(browser, outages.site, name, release=release, host=f"127.0.0.1:{relay.port}")
        page.do("kf.visit()")
        page.settle()
        before = accepted_so_far(outages)
        relay.lose()
        page.do("kf.tick()")
        wait_until(lambda: accepted_so_far(outages) > before, "the upload whose answer is lost", PATIENCE)
        relay.cut()
        wait_until(lambda: FAILED in {note["status"] for note in page.notes()}, "the SDK to notice", PATIENCE)
        relay.mend()
        page.settle()
        page.do("kf.endSession(); kf.upload()")
        page.settle()
        notes = page.end()
    finally:
        relay.close()
    assert_repeated_unchanged(notes, FAILED)
    outages.note(name, notes, begun, lost_answers=1)
    assert [upload.times for upload in outages.site.uploads if upload.sender == name].count(2) == 1


@pytest.mark.parametrize("release, offline", [(NEWEST, False), (NEWEST, True), (OLDEST, False)])
def test_a_page_that_is_left_while_httpd_is_away_loses_what_the_sdk_holds(outages, browser, release, offline):
    """It hands it to the browser as beacons and forgets it, whatever becomes of them, with its storage as without."""
    name, begun = f"left-{release}-{offline:d}", time.time()
    page = WebPage(browser, outages.site, name, release=release, offline=offline)
    page.do("kf.visit()")
    before = len(page.settle())
    outages.site.server.stop()
    log_for(page, 1)
    page.do("kf.large()")
    wait_failed(page, FAILED)
    page.leave()
    held = [note for note in page.notes()[before:] if note["how"] == "beacon"]
    lost = names_of(held)
    outages.site.server.start()
    page.do("kf.tick()")
    wait_until(lambda: accepted(page.notes()[before:]) and
               set(page.do("return kf.logged()")) - lost <= names_of(accepted(page.notes())), "the next page's events", PATIENCE)
    page.do("kf.endSession(); kf.upload()")
    wait_until(lambda: all(note["status"] is not None for note in page.notes()), "answers", PATIENCE)
    notes = page.end()
    assert lost and not lost & names_of(note for note in notes if note["status"] == 202), "nothing was lost"
    assert [note for note in held if note["status"] is False and len(note["body"]) > BEACON_LIMIT], \
        "the browser takes beacons of any size"
    outages.lost |= lost
    outages.note(name, [note for note in notes if note not in held], begun)


def test_what_was_uploaded_arrives_as_it_was(outages):
    """After the tests before this one."""
    site = outages.site
    wanted = {key for upload in site.uploads for key in upload.keys()}
    assert wanted and not outages.lost & wanted
    routes = [Route("stand-in", mode, mode, frozenset(), tuple(outages.senders)) for mode in MODES]
    site.wait_idle()
    for route in routes:
        def read() -> bool:
            route.records = site.readers["stand-in"].read(route.stream)
            return wanted <= {key_of(event) for record in route.records for event in rawjson.parse(record).get("events")}
        wait_until(read, f"{len(wanted)} events in {route.name}", PATIENCE)
    trace = Trace(site.uploads, routes)
    trace.write(BUILD / "outages", {"@mparticle/web-sdk (npm)": " ".join((NEWEST, *RELEASES))})
    assert not trace.faults, "\n".join(trace.faults[:40])
    repeated = sum(len(upload.keys()) for upload in site.uploads if upload.times > 1)
    summary = trace.summary()["readers"]
    assert repeated and summary["stand-in each"]["as often as it was accepted"] == repeated
