"""Killed, restarted and stopped under full load, again and again: every batch that was answered 202 arrives."""
from __future__ import annotations

import os
import random
import signal
import time
from typing import Callable

import pytest

import ledger
import loadgen
from configs import connection, defaults, location
from httpd_server import KILLED_AFTER_SECONDS, MPMS, Httpd, wait_until

every_mpm = pytest.mark.parametrize("mpm", MPMS)

SECONDS_BETWEEN = 0.7
SOAK_ROUNDS = 40
# What the ends of children by a signal, and the next start after a kill of everything, leave in httpd's log.
ENDS_BY_SIGNAL = ("AH00052", "AH00098", "AH00161", "AH00286", "AH00484", "AH10159", "AH00288", "AH03490")
# A child that did not end by itself was killed by httpd.
LATE = ("AH00045", "AH00046")
# An immediate stop now and then crashes a child of httpd's event MPM, without this module too.
CRASH = "AH00051"

THREADS = """\
ServerLimit 4
StartServers 2
ThreadsPerChild 32
MaxRequestWorkers 64
MaxSpareThreads 64
"""
PROCESSES = """\
ServerLimit 32
StartServers 16
MaxRequestWorkers 32
MaxSpareServers 32
"""


@pytest.fixture
def loaded(aws, httpd) -> Callable[..., Httpd]:
    """A server of either kind of MPM that takes the load of many connections and forwards it to `events`."""
    def make(mpm: str, more: str = "") -> Httpd:
        server = httpd(defaults(aws.url, "KinesisRetryBackoff 50ms 500ms")
                       + connection("one", "KinesisRecordFormat received") + location("/v2/events", "one"),
                       mpm=mpm, mpm_lines=(PROCESSES if mpm == "prefork" else THREADS) + more)
        server.allow(*ENDS_BY_SIGNAL)
        return server
    return make


def load_on(server: Httpd) -> loadgen.Load:
    return loadgen.Load(server.port, "/v2/events", connections=16 if server.mpm == "prefork" else 32)


def wait_some(aws, more: int = 300) -> None:
    """Waits until so many more records have been delivered: the server is at work."""
    target = aws.total() + more
    wait_until(lambda: aws.total() >= target, f"{more} more records")


def kill_a_child(server: Httpd) -> None:
    children = wait_until(server.children, "children")
    try:
        os.kill(random.choice(children), signal.SIGKILL)
    except ProcessLookupError:
        pass


def kill_all(server: Httpd) -> None:
    server.kill()
    server.start()


def report(record_property, outcome: loadgen.Outcome, account: ledger.Account) -> None:
    record_property("numbers", f"{account.batches} accepted at {account.batches / outcome.duration:.0f}/s, "
                    f"{outcome.unanswered} without an answer, {outcome.statuses[503]} times 503; {account}")


def kill_under_load(aws, server: Httpd, rounds: int) -> loadgen.Outcome:
    """A round: two children die, one after the other, then everything does, and is started again."""
    with load_on(server) as load:
        for _ in range(rounds):
            for kill in (kill_a_child, kill_a_child, kill_all):
                wait_some(aws)
                time.sleep(SECONDS_BETWEEN * random.random())
                kill(server)
        wait_some(aws)
    assert set(load.outcome.statuses) <= {202, 503}, load.outcome.statuses
    return load.outcome


@every_mpm
def test_nothing_accepted_is_lost_when_children_and_servers_are_killed(aws, loaded, mpm, record_property):
    outcome = kill_under_load(aws, loaded(mpm), rounds=2)
    report(record_property, outcome, ledger.balance(aws, outcome, kills=True))


@pytest.mark.soak
@every_mpm
def test_nothing_accepted_is_lost_in_minutes_of_kills(aws, loaded, mpm, record_property):
    outcome = kill_under_load(aws, loaded(mpm), rounds=SOAK_ROUNDS)
    report(record_property, outcome, ledger.balance(aws, outcome, kills=True))


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


def stop_and_start(server: Httpd) -> None:
    assert server.stop() < KILLED_AFTER_SECONDS
    server.start()


def stop_gracefully_and_start(server: Httpd) -> None:
    server.graceful_stop()
    server.start()


def end_under_load(aws, server: Httpd, rounds: int) -> loadgen.Outcome:
    with load_on(server) as load:
        for _ in range(rounds):
            for end in (Httpd.graceful, Httpd.restart, stop_and_start, Httpd.graceful, stop_gracefully_and_start):
                wait_some(aws)
                end(server)
        wait_some(aws)
    assert set(load.outcome.statuses) <= {202, 503}, load.outcome.statuses
    return load.outcome


def forgive_httpds_crash(server: Httpd) -> None:
    server.allow(CRASH)
    if CRASH in server.log():
        for name in server.cores():
            (server.root / "cores" / name).unlink()


def end_and_balance(aws, server: Httpd, rounds: int, record_property) -> None:
    server.allow(*LATE)
    try:
        outcome = end_under_load(aws, server, rounds)
    finally:
        if server.mpm == "event":
            forgive_httpds_crash(server)
    crashed = CRASH in server.log()
    report(record_property, outcome, ledger.balance(aws, outcome, kills=crashed or LATE[0] in server.log()))


@every_mpm
def test_nothing_is_lost_or_repeated_when_servers_restart_and_stop(aws, loaded, mpm, record_property):
    end_and_balance(aws, loaded(mpm, "MaxConnectionsPerChild 100\n"), 1, record_property)


@pytest.mark.soak
@every_mpm
def test_nothing_is_lost_or_repeated_in_minutes_of_restarts(aws, loaded, mpm, record_property):
    end_and_balance(aws, loaded(mpm, "MaxConnectionsPerChild 100\n"), SOAK_ROUNDS // 2, record_property)
