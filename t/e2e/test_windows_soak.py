"""A million windows open at once: what comes due is closed while intake goes on at full speed, and every batch arrives
once.

So that windows are open for ten minutes in a test of less, time passes by a change of the index: first the windows are
opened as fast as batches are taken; then the first of them is due, and the others follow as they were opened, while a
quarter as many come in; in the end all that are left are due at once. Senders are the load generator's, in posts of a
hundred batches; in AWS's place is the bench's receiver, which counts the batches by their numbers.

KF_SOAK_WINDOWS is another number of windows than a million.
"""
from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import time
import urllib.request
from pathlib import Path
from typing import Callable, Iterator

import pytest

import loadgen
from configs import connection, defaults, location
from httpd_server import DEADLINE, HOST, SOURCE, Httpd, Port, wait_until
from windows_index import Index

RECEIVER = Path(os.environ.get("KF_BUILDDIR") or SOURCE) / "t" / "bench" / "receiver"
ANSWER_MS = "10"
WINDOWS = int(os.environ.get("KF_SOAK_WINDOWS") or 1_000_000)
MORE = WINDOWS // 4
BULK = 100
WINDOW_SECONDS = 600
PATIENCE = DEADLINE + WINDOWS / 500
SAMPLE_SECONDS = 2
# What closing may be behind by: what filing does meanwhile, and the windows that it lets be due.
SLACK = 30_000 + WINDOWS // 20
GROWTH_BYTES = 64 << 20
INDEX_BYTES_A_WINDOW = 2048
PADDING = "x" * 215
CHILDREN = """\
ServerLimit 2
StartServers 2
ThreadsPerChild 16
MaxRequestWorkers 32
MinSpareThreads 1
MaxSpareThreads 32
"""


def upload(number: int) -> bytes:
    """A device's only batch: three events, about 1.3 KB."""
    events = ",".join(
        f'{{"event_type":"custom_event","data":{{"event_name":"event {i}","custom_event_type":"other",'
        f'"timestamp_unixtime_ms":{1700000000000 + i},"custom_attributes":{{"padding":"{PADDING}"}}}}}}'
        for i in range(3))
    return (f'{{"source_request_id":"{number:012}","mp_deviceid":"device-{number}","environment":"production",'
            f'"mpid":{1000 + number},"device_info":{{"platform":"iOS","brand":"iPhone15,2","os_version":"17.4"}},'
            f'"events":[{events}]}}').encode()


class Bulks:
    """Bodies of posts: batches from `first` on."""

    def __init__(self, first: int) -> None:
        self._first = first

    def __call__(self, number: int) -> bytes:
        start = self._first + number * BULK
        return b"[" + b",".join(map(upload, range(start, start + BULK))) + b"]"


class Receiver:
    """The bench's receiver in AWS's place."""

    def __init__(self) -> None:
        self._port = Port()
        self.url = f"http://{HOST}:{self._port.number}"
        self._process = subprocess.Popen([str(RECEIVER), str(self._port.number), ANSWER_MS], stdout=subprocess.DEVNULL)
        wait_until(self._serves, "the receiver")

    def _serves(self) -> bool:
        try:
            socket.create_connection((HOST, self._port.number), timeout=1).close()
        except OSError:
            return False
        return True

    def report(self) -> dict[str, int]:
        with urllib.request.urlopen(self.url + "/report", timeout=DEADLINE) as reply:
            return json.load(reply)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(DEADLINE)
        self._port.release()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    yield one
    one.close()


def memory(pid: int) -> int:
    """The proportional set size of a process, in bytes."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
            return 1024 * sum(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
    except OSError:
        return 0


def leader(server: Httpd) -> int:
    """The child that holds the lock of who leads; 0: none does just now."""
    inode = (server.root / "store" / "leader").stat().st_ino
    for line in Path("/proc/locks").read_text().splitlines():
        fields = line.split()
        if fields[1] == "FLOCK" and fields[5].endswith(f":{inode}"):
            return int(fields[4])
    return 0


class Watch:
    """Looks at the server every few seconds, in the background, as long as it is entered."""

    def __init__(self, server: Httpd, receiver: Receiver) -> None:
        self._server, self._receiver, self._index = server, receiver, Index(server)
        self.samples: list[dict[str, float]] = []

    def __enter__(self) -> Watch:
        self.samples = []
        self._begun = time.monotonic()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ending.is_set():
            self.samples.append(self._look())
            self._ending.wait(SAMPLE_SECONDS)

    def _look(self) -> dict[str, float]:
        store = self._server.root / "store"
        return {"seconds": time.monotonic() - self._begun, **self._index.counts(),
                "delivered": self._receiver.report()["unique"],
                "index": sum(path.stat().st_size for path in store.glob("index.db*")),
                "journal": sum(sizes(store / "journal")),
                "leader": memory(leader(self._server))}

    def last(self, name: str) -> float:
        return self.samples[-1][name] if self.samples else 0

    def most(self, name: str) -> float:
        return max(sample[name] for sample in self.samples)


def sizes(folder: Path) -> Iterator[int]:
    for path in folder.iterdir():
        try:
            yield path.stat().st_size
        except FileNotFoundError:
            pass


def take_in(server: Httpd, first: int, count: int) -> str:
    outcome = loadgen.run(HOST, server.port, "/v2/events", count // BULK, connections=16, processes=1,
                          make=Bulks(first), give_up=PATIENCE)
    assert set(outcome.statuses) <= {202, 503} and len(outcome.accepted) == count // BULK, outcome.statuses
    assert not outcome.unanswered
    return (f"{count} batches accepted at {count / outcome.duration:.0f}/s in posts of {BULK}, "
            f"p50 {outcome.percentile(.5) * 1000:.0f} ms, p99 {outcome.percentile(.99) * 1000:.0f} ms, "
            f"{outcome.statuses[503]} times 503")


def fill(server: Httpd, watch: Watch) -> str:
    with watch:
        accepted = take_in(server, 0, WINDOWS)
        wait_until(lambda: watch.last("opened") == WINDOWS, "all windows", PATIENCE)
    assert watch.most("open") == WINDOWS
    assert watch.last("index") < WINDOWS * INDEX_BYTES_A_WINDOW + (64 << 20)
    return (f"{accepted}; {WINDOWS} windows open after {watch.last('seconds'):.0f} s, the index "
            f"{watch.last('index') / WINDOWS:.0f} bytes a window, the journal {watch.most('journal') / 2**20:.0f} MiB at most")


def turn_over(server: Httpd, watch: Watch) -> str:
    """Windows come due as they were opened, while others come in."""
    index = Index(server)
    index.pass_time(index.first_due_in() - 1)
    with watch:
        accepted = take_in(server, WINDOWS, MORE)
        wait_until(lambda: watch.last("opened") == WINDOWS + MORE, "the others' windows", PATIENCE)
    seconds, closed = watch.last("seconds"), watch.last("opened") - watch.last("open")
    assert watch.most("open") < WINDOWS + SLACK
    return (f"{accepted}; meanwhile and until they were filed {MORE / seconds:.0f}/s were opened and "
            f"{closed / seconds:.0f}/s closed, {watch.most('due'):.0f} due at most, {watch.most('open'):.0f} open at most, "
            f"the journal {watch.most('journal') / 2**20:.0f} MiB at most")


def drain(server: Httpd, watch: Watch) -> str:
    left = Index(server).counts()["open"]
    Index(server).pass_time(2 * WINDOW_SECONDS)
    with watch:
        wait_until(lambda: watch.samples and watch.last("open") == 0, "all windows to close", PATIENCE)
        seconds = watch.last("seconds")
        wait_until(lambda: watch.last("delivered") == WINDOWS + MORE, "all batches", PATIENCE)
    return f"the last {left} closed at {left / max(seconds, 1):.0f}/s"


@pytest.mark.soak
def test_a_million_windows_close_under_full_intake_and_each_arrives_once(
        receiver: Receiver, httpd: Callable[..., Httpd], record_property: Callable[[str, object], None]) -> None:
    server = httpd(defaults(receiver.url)
                   + connection("one", f"KinesisBatchWindow {WINDOW_SECONDS}s", "KinesisRecordFormat received")
                   + "KinesisStoreLimit 16G\n" + location("/v2/events", "one"), mpm_lines=CHILDREN)
    server.allow("AH00161", "AH00286", "AH00484", "AH10159")
    assert server.post("/v2/events", b"[]").status == 400
    wait_until(Index(server).is_made, "the index")
    idle = max(memory(pid) for pid in server.children())
    watch, most = Watch(server, receiver), 0.0
    for step in (fill, turn_over, drain):
        record_property("numbers", step(server, watch))
        most = max(most, watch.most("leader"))
    record_property("numbers", f"the leading child {most / 2**20:.0f} MiB at most, {idle / 2**20:.0f} idle")
    assert most - idle < GROWTH_BYTES
    server.stop()
    report = receiver.report()
    assert (report["unique"], report["repeated"], report["unnumbered"]) == (WINDOWS + MORE, 0, 0)
