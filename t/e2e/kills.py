"""Ends of children by SIGKILL, and what they explain: which records may have reached AWS without a note of it.

A child notes what became of a call's records right after it has read the answer. So of what it delivered only this
may be delivered again after its death: the records of calls that had no answer, and of calls whose answer it had not
read or noted. What the stand-in saw tells which those are. A connection takes one call at a time, and is given to
another call at most in the pass in which its answer was read, whose end notes that answer: of the calls of one
connection all but the last two were noted, however slow the machine. And none was answered longer than
NOTED_WITHIN before the kill.
"""
from __future__ import annotations

import os
import random
import signal
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Iterable

from httpd_server import Httpd, is_stopped, wait_until
from standin import StandIn
from standin_http import ConnectionLife
from standin_ledger import Call

# From the writing of an answer to the note of it, on a machine whose disk and processors are busy with other things.
NOTED_WITHIN = 10 * float(os.environ.get("KF_TEST_PATIENCE") or 1)

# What an answer that was not noted is kept by: these calls may be under way, and each worker settles one more.
MAX_IN_FLIGHT = 16
WORKERS = 2
CALL_RECORDS = 500


@dataclass
class Kill:
    """One child's end: when it was stopped, its connections to AWS, by their ports, and when it was dead."""
    pid: int
    begun: float
    ports: set[int]
    over: float = 0.0


class Killer:
    """Kills children of a server, and knows which and when. They are stopped a moment before, wherever they are, so
    that their connections can be listed."""

    def __init__(self, aws: StandIn, server: Httpd) -> None:
        self.kills: list[Kill] = []
        self._server = server
        self._port = int(aws.url.rpartition(":")[2])

    def child(self) -> None:
        """One of them, by chance."""
        pid = random.choice(wait_until(self._server.children, "children"))
        kills = self._stop([pid])
        _signal(pid, signal.SIGKILL)
        self._note(kills)

    def everything(self) -> None:
        """Every process of the server, which is started again."""
        self._server.signal(signal.SIGSTOP)
        wait_until(lambda: is_stopped(self._server.process.pid), "the server to make no more children")
        kills = self._stop(self._server.children())
        self._server.kill()
        self._note(kills)
        self._server.start()

    def _stop(self, pids: list[int]) -> list[Kill]:
        begun = time.monotonic()
        for pid in pids:
            _signal(pid, signal.SIGSTOP)
        wait_until(lambda: all(map(is_stopped, pids)), "children to be stopped")
        by_inode = _ports_by_inode(self._port)
        return [Kill(pid, begun, {by_inode[inode] for inode in _sockets(pid) if inode in by_inode}) for pid in pids]

    def _note(self, kills: list[Kill]) -> None:
        for kill in kills:
            kill.over = time.monotonic()
        self.kills += kills


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def _ports_by_inode(port: int) -> dict[int, int]:
    """The local ports of connections to a port of this machine, by the inode of their socket."""
    found = {}
    with open("/proc/net/tcp", encoding="ascii") as table:
        next(table)
        for line in table:
            fields = line.split()
            if int(fields[2].rpartition(":")[2], 16) == port:
                found[int(fields[9])] = int(fields[1].rpartition(":")[2], 16)
    return found


def _sockets(pid: int) -> set[int]:
    """The inodes of a process's sockets."""
    found = set()
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            try:
                target = os.readlink(f"/proc/{pid}/fd/{name}")
            except FileNotFoundError:
                continue
            if target.startswith("socket:["):
                found.add(int(target[8:-1]))
    except FileNotFoundError:
        pass
    return found


def _owners(lives: dict[int, ConnectionLife], kills: list[Kill]) -> dict[int, Kill]:
    """The connections that ended with a child. One that was made just before may be seen by the stand-in only after;
    its port may serve again much later."""
    by_port: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for number, life in lives.items():
        by_port[life.port].append((life.opened, number))
    owners = {}
    for kill in kills:
        for port in kill.ports:
            alive = [(opened, number) for opened, number in by_port[port]
                     if lives[number].closed is None or lives[number].closed >= kill.begun]
            if alive:
                owners[min(alive)[1]] = kill
    return owners


@dataclass
class Fates:
    """Of calls that brought records: what became of their answers."""
    calls: dict[int, Call]
    lost: set[int] = field(default_factory=set)
    unnoted: set[int] = field(default_factory=set)
    killer: dict[int, Kill] = field(default_factory=dict)

    def is_sure(self, call: int) -> bool:
        """Whether the outcome was noted for certain."""
        return call not in self.lost and call not in self.unnoted

    def explains(self, earlier: int, later: int) -> bool:
        """Whether a record of the one call may be in the other too."""
        kill = self.killer.get(later)
        return not self.is_sure(earlier) or (kill is not None and kill.over < self.calls[earlier].started)

    def tell(self, repeated: Iterable[tuple[Any, list[int]]]) -> str:
        """Of records that came more than once: what their calls went through."""
        return "; ".join(f"{name!r:.80}: " + ", then ".join(map(self._tell, calls)) for name, calls in repeated)

    def _tell(self, number: int) -> str:
        call, kill = self.calls[number], self.killer.get(number)
        end = f", its child killed at {kill.begun:.3f}" if kill else ""
        return (f"call {number} on connection {call.connection} at {call.started:.3f}, answered "
                f"{call.started + call.duration:.3f} ({call.answer}){end}")

    def before_kill(self, call: int) -> float:
        """How long before the end of its child the call was answered."""
        return self.killer[call].begun - self.calls[call].started - self.calls[call].duration

    def most(self) -> tuple[int, int]:
        """Calls and records that may be repeated at most, since their child was killed."""
        calls = [number for number in self.lost | self.unnoted if number in self.killer and number in self.calls]
        return len(calls), sum(self.calls[number].accepted for number in calls)


def fates(aws: StandIn, stream: str, kills: list[Kill]) -> Fates:
    """Looks at every call to a stream. Never more than may be under way is unnoted by a child."""
    found = Fates({call.id: call for call in aws.call_log(stream)})
    owners = _owners(aws.lives(), kills)
    by_connection: dict[int, list[Call]] = defaultdict(list)
    for call in aws.call_log():
        by_connection[call.connection].append(call)
    for connection, calls in by_connection.items():
        kill = owners.get(connection)
        for at, call in enumerate(calls, -len(calls)):
            if kill:
                found.killer[call.id] = kill
            if call.answer != "delivered":
                found.lost.add(call.id)
            elif kill and at >= -2 and call.started + call.duration > kill.begun - NOTED_WITHIN:
                found.unnoted.add(call.id)
    return found


def assert_bounded(found: Fates, repeated_from: set[int]) -> None:
    """The calls of which records came again are not more than a child may have under way."""
    by_kill: dict[int, int] = defaultdict(int)
    for call in repeated_from:
        if call in found.killer:
            by_kill[id(found.killer[call])] += 1
    most = MAX_IN_FLIGHT + WORKERS
    assert max(by_kill.values(), default=0) <= most, f"a child left more than {most} calls without a note"
