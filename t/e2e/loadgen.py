"""A load generator: a few processes, each driving many kept-alive connections over raw sockets with one poller.

Every batch has a number; `body(number)` says what is posted for it, so that what arrived can be accounted for
by its digest. A batch that was answered 503, or not at all, is posted again until it is accepted.
"""
from __future__ import annotations

import heapq
import multiprocessing
import selectors
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from typing import Callable

SPAWN = multiprocessing.get_context("spawn")
PAUSE_SECONDS = 0.2
ENDLESS = 1 << 40
RECEIVE_BYTES = 65536

_PADDING = "x" * 215


def body(number: int, prefix: str = "load") -> bytes:
    """A batch of three events, about 1.3 KB."""
    events = ",".join(
        f'{{"event_type":"custom_event","data":{{"event_name":"event {i}","custom_event_type":"other",'
        f'"timestamp_unixtime_ms":{1700000000000 + i},"custom_attributes":{{"padding":"{_PADDING}"}}}}}}'
        for i in range(3))
    return (f'{{"source_request_id":"{prefix}-{number}","environment":"production","mpid":{1000 + number % 997},'
            f'"device_info":{{"platform":"iOS","brand":"iPhone15,2","os_version":"17.4"}},'
            f'"events":[{events}]}}').encode()


@dataclass
class Outcome:
    """What came of a run: answers by status, seconds each accepted answer took, how often no answer came; the numbers
    that were accepted, those that may be there once more since no answer came, and those given up."""
    statuses: Counter = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    unanswered: int = 0
    duration: float = 0.0
    accepted: set[int] = field(default_factory=set)
    uncertain: set[int] = field(default_factory=set)
    abandoned: set[int] = field(default_factory=set)

    def add(self, other: Outcome) -> None:
        self.statuses += other.statuses
        self.seconds += other.seconds
        self.unanswered += other.unanswered
        self.accepted |= other.accepted
        self.uncertain |= other.uncertain
        self.abandoned |= other.abandoned

    def percentile(self, part: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


class Connection:
    """One kept-alive connection with at most one request on its way."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self.socket: socket.socket | None = None
        self.number = -1
        self.begun = 0.0
        self.ends = False
        self._unsent = b""
        self._received = b""

    def send(self, head: bytes, number: int, make: Callable[[int], bytes]) -> None:
        content = make(number)
        self.number, self.begun, self._received = number, time.monotonic(), b""
        self._unsent = head % len(content) + content
        if self.socket is None:
            self.socket = socket.create_connection(self._address, timeout=30)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.socket.setblocking(False)
        self.write()

    def write(self) -> bool:
        """Sends on; whether all has been sent."""
        if self._unsent:
            try:
                self._unsent = self._unsent[self.socket.send(self._unsent):]
            except BlockingIOError:
                pass
        return not self._unsent

    def read(self) -> int | None:
        """The status once an answer is there whole; OSError where the connection broke."""
        try:
            data = self.socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return None
        if not data:
            raise ConnectionResetError
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return None
        headers = self._received[:end].lower()
        at = headers.find(b"\r\ncontent-length:")
        length = int(headers[at + 17:].split(b"\r\n", 1)[0]) if at >= 0 else 0
        self.ends = b"\r\nconnection: close" in headers
        return int(self._received[9:12]) if len(self._received) >= end + 4 + length else None

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()
            self.socket = None


def _drive(host: str, port: int, path: str, numbers: range, connections: int,
           make: Callable[[int], bytes], give_up: float, until: Event | None) -> Outcome:
    """Posts every number until it is accepted; takes no more numbers once `until` is set."""
    head = (f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            "Content-Length: %d\r\n\r\n").encode()
    outcome, waiting, again = Outcome(), iter(numbers), []
    taken: set[int] = set()
    selector = selectors.DefaultSelector()
    idle = [Connection((host, port)) for _ in range(connections)]
    deadline = time.monotonic() + give_up
    while time.monotonic() < deadline:
        if until is not None and until.is_set():
            waiting = iter(())
        while idle:
            number = heapq.heappop(again)[1] if again and again[0][0] <= time.monotonic() else next(waiting, None)
            if number is None:
                break
            taken.add(number)
            one = idle.pop()
            try:
                fresh = one.socket is None
                one.send(head, number, make)
                events = selectors.EVENT_READ | selectors.EVENT_WRITE
                selector.register(one.socket, events, one) if fresh else selector.modify(one.socket, events, one)
            except OSError:
                _broken(one, selector, outcome, again, idle)
                break
        if len(idle) == connections and not again:
            break
        for key, mask in selector.select(PAUSE_SECONDS / 4):
            one = key.data
            try:
                if mask & selectors.EVENT_WRITE and one.write():
                    selector.modify(one.socket, selectors.EVENT_READ, one)
                status = one.read() if mask & selectors.EVENT_READ else None
            except OSError:
                _broken(one, selector, outcome, again, idle)
                continue
            if status is None:
                continue
            outcome.statuses[status] += 1
            if status == 202:
                outcome.seconds.append(time.monotonic() - one.begun)
                outcome.accepted.add(one.number)
            else:
                heapq.heappush(again, (time.monotonic() + PAUSE_SECONDS, one.number))
            one.number = -1
            if one.ends:
                selector.unregister(one.socket)
                one.close()
            idle.append(one)
    outcome.abandoned = taken - outcome.accepted
    return outcome


def _broken(one: Connection, selector: selectors.BaseSelector, outcome: Outcome, again: list, idle: list) -> None:
    """The connection ended, or none came about; a request without an answer is posted again."""
    pause = PAUSE_SECONDS if one.socket is None else 0
    if one.socket is not None and one.socket in selector.get_map():
        selector.unregister(one.socket)
    one.close()
    if one.number >= 0:
        outcome.unanswered += 1
        outcome.uncertain.add(one.number)
        heapq.heappush(again, (time.monotonic() + pause, one.number))
        one.number = -1
        idle.append(one)


def _worker(pipe, *arguments) -> None:
    pipe.send(_drive(*arguments))
    pipe.close()


def run(host: str, port: int, path: str, count: int, *, connections: int = 64, processes: int = 2,
        make: Callable[[int], bytes] = body, give_up: float = 600, until: Event | None = None) -> Outcome:
    """Posts batches 0 to count - 1, or as many as can be until `until` is set, over so many connections in all, and
    waits for the last answer."""
    begun = time.monotonic()
    running = []
    for part in range(processes):
        ours, theirs = SPAWN.Pipe(duplex=False)
        arguments = (host, port, path, range(part, count, processes), connections // processes, make, give_up, until)
        process = SPAWN.Process(target=_worker, args=(theirs, *arguments), daemon=True)
        process.start()
        theirs.close()
        running.append((process, ours))
    total = Outcome()
    for process, ours in running:
        total.add(ours.recv())
        process.join()
    total.duration = time.monotonic() - begun
    return total


class Load:
    """A run in the background, for as long as a test does something else; `outcome` is there afterwards."""

    def __init__(self, port: int, path: str, host: str = "127.0.0.1", **options: object) -> None:
        self.outcome = Outcome()
        self._until = SPAWN.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(host, port, path, options), daemon=True)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._until.set()
        self._thread.join()
        if self._error and not exception[0]:
            raise self._error

    def _run(self, host: str, port: int, path: str, options: dict) -> None:
        try:
            self.outcome = run(host, port, path, ENDLESS, until=self._until, **options)
        except (OSError, EOFError) as error:
            self._error = error
