"""Killed, restarted and stopped under full load, again and again: every batch that was answered 202 arrives, and what
arrives twice is what kills.py explains."""
from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from typing import Any, Callable, Iterator

import pytest

import ledger
import loadgen
from configs import connection, defaults, location
from httpd_server import DEADLINE, KILLED_AFTER_SECONDS, MPMS, Httpd, wait_until
from kills import Killer
from standin import StandIn

every_mpm = pytest.mark.parametrize("mpm", MPMS)

CONNECTIONS = 64
# Between two kills of a child, and between two of the whole server; and how long it all takes.
SECONDS = (0.5, 2.0, 5.0)
SOAK_SECONDS = (1.0, 10.0, float(os.environ.get("KF_SOAK_SECONDS") or 120))
# Windows that are closed in one go: after a kill in the middle of it they leave again under their message ids.
CLOSED_AT_ONCE = 64
# What the ends of children by a signal, and the next start after a kill of everything, leave in httpd's log.
ENDS_BY_SIGNAL = ("AH00052", "AH00098", "AH00161", "AH00286", "AH00484", "AH10159", "AH00288", "AH03490")
# A child that did not end by itself was killed by httpd.
LATE = ("AH00045", "AH00046")
# Three seconds after an end at once httpd reminds children, which have five for their calls.
SLOW = "AH00045"
# An immediate stop now and then crashes a child of httpd's event MPM, without this module too; it closes connections
# that worker threads are still to close.
CRASH = "AH00051"
CLOSED = "AH03092"

THREADS = """\
ServerLimit 4
StartServers 2
ThreadsPerChild 32
MaxRequestWorkers 64
MaxSpareThreads 64
"""
PROCESSES = f"""\
ServerLimit {CONNECTIONS}
StartServers 16
MaxRequestWorkers {CONNECTIONS}
MaxSpareServers {CONNECTIONS}
"""


@pytest.fixture
def aws() -> Iterator[StandIn]:
    """A stand-in that keeps digests: of so many records there would be too much."""
    with StandIn(streams={"events": 4}, keep="digest") as standin:
        yield standin


@pytest.fixture
def loaded(aws, httpd) -> Callable[..., Httpd]:
    """A server of either kind of MPM that takes the load of many connections and forwards it to `events`."""
    def make(mpm: str, more: str = "") -> Httpd:
        server = httpd(defaults(aws.url, "KinesisRetryBackoff 50ms 500ms")
                       + connection("one", "KinesisRecordFormat received") + location("/v2/events", "one"),
                       mpm=mpm, mpm_lines=(PROCESSES if mpm == "prefork" else THREADS) + more)
        server.allow(*ENDS_BY_SIGNAL, SLOW)
        return server
    return make


def load_on(server: Httpd, **options: Any) -> loadgen.Load:
    return loadgen.Load(server.port, "/v2/events", connections=CONNECTIONS, **options)


def wait_some(aws: StandIn, more: int = 300) -> None:
    """Waits until so many more records have been delivered: the server is at work."""
    target = aws.total() + more
    wait_until(lambda: aws.total() >= target, f"{more} more records")


def report(record_property: Callable[[str, object], None], outcome: loadgen.Outcome, *accounts: ledger.Account) -> None:
    told = "; ".join(map(str, accounts))
    record_property("numbers", f"{outcome.duration:.0f} s, {len(outcome.accepted)} accepted "
                    f"({len(outcome.accepted) / outcome.duration:.0f}/s), {len(outcome.unanswered)} without an answer, "
                    f"{outcome.statuses[503]} times 503; {told}")


def killing_goes_on(aws: StandIn, killer: Killer, between: tuple[float, float, float]) -> Iterator[None]:
    """Kills a child, or the whole server, each time when the time for it has come and the server is at work."""
    child_seconds, server_seconds, seconds = between
    begun = time.monotonic()
    next_server = begun + server_seconds
    while time.monotonic() < begun + seconds:
        yield
        wait_some(aws)
        if time.monotonic() >= next_server:
            killer.everything()
            next_server += server_seconds
        else:
            killer.child()
        next_child = time.monotonic() + child_seconds
        wait_until(lambda: time.monotonic() >= next_child, "the next kill")


def kill_under_load(aws: StandIn, server: Httpd, between: tuple[float, float, float],
                    **options: Any) -> tuple[loadgen.Outcome, Killer]:
    killer = Killer(aws, server)
    with load_on(server, **options) as load:
        for _ in killing_goes_on(aws, killer, between):
            pass
        wait_some(aws)
    assert set(load.outcome.statuses) <= {202, 503}, load.outcome.statuses
    return load.outcome, killer


def kill_and_balance(aws: StandIn, server: Httpd, between: tuple[float, float, float], record_property) -> None:
    outcome, killer = kill_under_load(aws, server, between)
    report(record_property, outcome, ledger.balance(aws, outcome, kills=killer.kills, timeout=2 * DEADLINE))


@every_mpm
def test_nothing_accepted_is_lost_when_children_and_servers_are_killed(aws, loaded, mpm, record_property):
    kill_and_balance(aws, loaded(mpm), SECONDS, record_property)


@pytest.mark.soak
@every_mpm
def test_nothing_accepted_is_lost_in_minutes_of_kills(aws, loaded, mpm, record_property):
    kill_and_balance(aws, loaded(mpm), SOAK_SECONDS, record_property)


@every_mpm
def test_what_a_killed_child_had_accepted_is_delivered_by_another_at_once(aws, loaded, mpm):
    aws.stop_accepting(drop=True)
    server = loaded(mpm)
    server.allow("KF0405", "KF0305")
    names = {server.post("/v2/events", loadgen.body(number)).status: number for number in range(40)}
    assert set(names) == {202}
    old = server.children()
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    server.wait_replaced(old)
    aws.resume_accepting()
    ledger.balance(aws, loadgen.Outcome(accepted=set(range(40))))


# Several connections

@pytest.fixture
def several(httpd) -> Iterator[tuple[StandIn, Callable[..., Httpd]]]:
    """A location that feeds three connections: one to a stream that throttles half of the calls, and one with
    windows."""
    with StandIn(streams={"plain": 2, "throttled": 2, "windows": 2}) as aws:
        aws.add_fault("throttle", match={"operation": "PutRecords", "stream": "throttled", "probability": 0.5, "seed": 1})

        def make(mpm: str) -> Httpd:
            server = httpd(defaults(aws.url, "KinesisRetryBackoff 50ms 500ms")
                           + connection("plain", "KinesisRecordFormat received", stream="plain")
                           + connection("throttled", "KinesisRecordFormat received", stream="throttled")
                           + connection("windows", "KinesisBatchWindow 2s", "KinesisSendAsBatch On", stream="windows")
                           + location("/v2/events", "plain", "throttled", "windows"),
                           mpm=mpm, mpm_lines=PROCESSES if mpm == "prefork" else THREADS)
            server.allow(*ENDS_BY_SIGNAL, "KF0305", "KF0401", "KF0406")
            return server
        yield aws, make


def events_of(record: bytes) -> list[str]:
    return [event["data"]["event_name"] for event in json.loads(record)["events"]]


def message_id(record: bytes) -> str:
    return json.loads(record)["message_id"]


def posted_events(numbers: set[int]) -> set[str]:
    return {name for number in numbers for name in events_of(loadgen.small(number))}


def balance_windows(aws: StandIn, outcome: loadgen.Outcome, killer: Killer) -> ledger.Account:
    """Every accepted event is in the records of one message id, and none is there that nobody posted."""
    wanted = posted_events(outcome.accepted)

    def arrived() -> set[str]:
        return {name for record in ledger.data(aws, "windows") for name in events_of(record)}

    wait_until(lambda: not wanted - arrived(), "the events in windows", 4 * DEADLINE)
    messages: dict[str, set[str]] = {}
    for record in ledger.data(aws, "windows"):
        messages.setdefault(message_id(record), set()).update(events_of(record))
    events = [name for one in messages.values() for name in one]
    twice = [name for name, count in Counter(events).items() if count > 1]
    assert not twice, f"{len(twice)} of {len(events)} events stand in two messages: {twice[:10]}"
    assert set(events) <= wanted | posted_events(outcome.unanswered)
    return ledger.explain(aws, len(messages), "windows", killer.kills, message_id, closing=CLOSED_AT_ONCE)


def kill_several(several, mpm: str, between: tuple[float, float, float], record_property) -> None:
    aws, make = several
    outcome, killer = kill_under_load(aws, make(mpm), between, make=loadgen.small)
    accounts = [ledger.balance(aws, outcome, stream, kills=killer.kills, make=loadgen.small, timeout=4 * DEADLINE)
                for stream in ("plain", "throttled")]
    report(record_property, outcome, *accounts, balance_windows(aws, outcome, killer))


@pytest.mark.parametrize("mpm", ["event", "prefork"])
def test_kills_lose_nothing_in_windows_nor_behind_a_stream_that_throttles(several, mpm, record_property):
    kill_several(several, mpm, SECONDS, record_property)


@pytest.mark.soak
@every_mpm
def test_minutes_of_kills_lose_nothing_in_windows_nor_behind_a_stream_that_throttles(several, mpm, record_property):
    kill_several(several, mpm, (*SOAK_SECONDS[:2], SOAK_SECONDS[2] / 2), record_property)


# Restarts and stops

def stop_and_start(server: Httpd) -> None:
    assert server.stop() < KILLED_AFTER_SECONDS
    server.start()


def stop_gracefully_and_start(server: Httpd) -> None:
    server.graceful_stop()
    server.start()


def end_under_load(aws: StandIn, server: Httpd, seconds: float, pause: float) -> loadgen.Outcome:
    """Each way of ending once, and on until the time is over."""
    begun = time.monotonic()
    with load_on(server) as load:
        while True:
            for end in (Httpd.graceful, Httpd.restart, stop_and_start, Httpd.graceful, stop_gracefully_and_start):
                next_end = time.monotonic() + pause
                wait_some(aws)
                end(server)
                wait_until(lambda: time.monotonic() >= next_end, "the next end")
            if time.monotonic() >= begun + seconds:
                break
        wait_some(aws)
    assert set(load.outcome.statuses) <= {202, 503}, load.outcome.statuses
    return load.outcome


def forgive_httpds_crash(server: Httpd) -> None:
    server.allow(CRASH, CLOSED)
    if CRASH in server.log():
        for name in server.cores():
            (server.root / "cores" / name).unlink()


def end_and_balance(aws, server: Httpd, seconds: float, pause: float, record_property) -> None:
    try:
        outcome = end_under_load(aws, server, seconds, pause)
    finally:
        if server.mpm == "event":
            forgive_httpds_crash(server)
    report(record_property, outcome, ledger.balance(aws, outcome, timeout=2 * DEADLINE))


@every_mpm
def test_nothing_is_lost_or_repeated_when_servers_restart_and_stop(aws, loaded, mpm, record_property):
    end_and_balance(aws, loaded(mpm, "MaxConnectionsPerChild 100\n"), 0, 0, record_property)


@pytest.mark.soak
@every_mpm
def test_nothing_is_lost_or_repeated_in_minutes_of_restarts(aws, loaded, mpm, record_property):
    end_and_balance(aws, loaded(mpm, "MaxConnectionsPerChild 100\n"), SOAK_SECONDS[2], 2, record_property)
