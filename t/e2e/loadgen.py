"""A load generator: a few processes, each driving many kept-alive connections over raw sockets with one poller.

Every batch has a number; `body(number)` says what is posted for it, so that what arrived can be accounted for
by its digest. A batch that was answered 503 is posted again until it is accepted: nothing of it was forwarded. One
that was not answered is never posted again, since it may have been accepted: so whatever arrives twice was repeated
by the server.
"""
from __future__ import annotations

import heapq
import itertools
import multiprocessing
import selectors
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from typing import Callable, Iterator

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


def small(number: int, prefix: str = "load") -> bytes:
    """A batch of two events of one of a hundred devices, each event with a name that no other has."""
    events = ",".join(f'{{"event_type":"custom_event","data":{{"event_name":"{prefix}-{number}-{i}",'
                      f'"custom_event_type":"other","timestamp_unixtime_ms":{1700000000000 + i}}}}}' for i in range(2))
    return (f'{{"source_request_id":"{prefix}-{number}","environment":"production","mpid":{1000 + number % 100},'
            f'"mp_deviceid":"device-{number % 100}","events":[{events}]}}').encode()


@dataclass
class Outcome:
    """What came of a run: answers by status, seconds each accepted answer took; the numbers that were accepted, and
    those that may have been, since no answer came."""
    statuses: Counter = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    duration: float = 0.0
    accepted: set[int] = field(default_factory=set)
    unanswered: set[int] = field(default_factory=set)

    def add(self, other: Outcome) -> None:
        self.statuses += other.statuses
        self.seconds += other.seconds
        self.accepted |= other.accepted
        self.unanswered |= other.unanswered

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

    def connect(self, number: int) -> None:
        """Makes ready to post a batch."""
        self.number, self.begun, self._received = number, 0.0, b""
        if self.socket is None:
            self.socket = socket.create_connection(self._address, timeout=30)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.socket.setblocking(False)

    def send(self, head: bytes, make: Callable[[int], bytes]) -> None:
        content = make(self.number)
        self._unsent = head % len(content) + content
        self.begun = time.monotonic()
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


class Driver:
    """What one process does: so many connections, each posting batch after batch."""

    def __init__(self, host: str, port: int, path: str, connections: int, make: Callable[[int], bytes]) -> None:
        self.outcome = Outcome()
        self._head = (f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
                      "Content-Length: %d\r\n\r\n").encode()
        self._make = make
        self._idle = [Connection((host, port)) for _ in range(connections)]
        self._busy = 0
        self._again: list[tuple[float, int]] = []
        self._selector = selectors.DefaultSelector()

    def run(self, numbers: Iterator[int], count: int, give_up: float, until: Event | None) -> None:
        """Posts until so many have been accepted; takes no more numbers once `until` is set."""
        deadline = time.monotonic() + give_up
        while time.monotonic() < deadline:
            if until is not None and until.is_set():
                count = 0
            self._send(numbers, count)
            if self._busy == 0 and not self._again and len(self.outcome.accepted) >= count:
                return
            for key, mask in self._selector.select(PAUSE_SECONDS / 4):
                try:
                    self._serve(key.data, mask)
                except OSError:
                    self._broken(key.data)
        for key in list(self._selector.get_map().values()):
            self._broken(key.data)

    def _send(self, numbers: Iterator[int], count: int) -> None:
        """Gives the idle connections something to post, as long as it is wanted."""
        while self._idle:
            if self._again and self._again[0][0] <= time.monotonic():
                number = heapq.heappop(self._again)[1]
            elif len(self.outcome.accepted) + self._busy + len(self._again) < count:
                number = next(numbers)
            else:
                return
            one = self._idle.pop()
            self._busy += 1
            try:
                one.connect(number)
                one.send(self._head, self._make)
            except OSError:
                self._broken(one)
                return
            self._selector.register(one.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, one)

    def _serve(self, one: Connection, mask: int) -> None:
        if mask & selectors.EVENT_WRITE and one.write():
            self._selector.modify(one.socket, selectors.EVENT_READ, one)
        status = one.read() if mask & selectors.EVENT_READ else None
        if status is None:
            return
        self.outcome.statuses[status] += 1
        if status == 202:
            self.outcome.seconds.append(time.monotonic() - one.begun)
            self.outcome.accepted.add(one.number)
        else:
            self._post_again(one.number)
        self._rest(one)
        if one.ends:
            one.close()

    def _broken(self, one: Connection) -> None:
        """The connection ended, or none came about. What was sent is not sent again: it may have been accepted."""
        if one.begun == 0.0:
            self._post_again(one.number)
        else:
            self.outcome.unanswered.add(one.number)
        self._rest(one)
        one.close()

    def _post_again(self, number: int) -> None:
        heapq.heappush(self._again, (time.monotonic() + PAUSE_SECONDS, number))

    def _rest(self, one: Connection) -> None:
        if one.socket is not None and one.socket in self._selector.get_map():
            self._selector.unregister(one.socket)
        self._idle.append(one)
        self._busy -= 1


def _worker(pipe, address: tuple, connections: int, make: Callable[[int], bytes], first: int, *rest) -> None:
    driver = Driver(*address, connections, make)
    driver.run(itertools.count(first, rest[0]), *rest[1:])
    pipe.send(driver.outcome)
    pipe.close()


def run(host: str, port: int, path: str, count: int, *, connections: int = 64, processes: int = 2,
        make: Callable[[int], bytes] = body, give_up: float = 600, until: Event | None = None) -> Outcome:
    """Posts until so many batches have been accepted, or `until` is set, over so many connections in all, and waits
    for the last answer."""
    begun = time.monotonic()
    running = []
    for part in range(processes):
        ours, theirs = SPAWN.Pipe(duplex=False)
        share = len(range(part, count, processes))
        arguments = ((host, port, path), connections // processes, make, part, processes, share, give_up, until)
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
