"""Starting, restarting and stopping on every MPM: nothing lost, nothing left behind, nothing crashed, in time."""
from __future__ import annotations

import os
import signal
import random
import subprocess
import threading
import time

import pytest

import configs
import ledger
from configs import batch, connection, defaults, location, unique
from httpd_server import DEADLINE, KILLED_AFTER_SECONDS, MPMS, Httpd, wait_until

every_mpm = pytest.mark.parametrize("mpm", MPMS)

# An immediate stop while requests are being served now and then crashes a child of httpd's event MPM, without this
# module too: its main thread closes a connection that a worker thread has just freed.
mpm_that_stops_well_under_load = pytest.mark.parametrize("mpm", ["worker", "prefork"])


class Load:
    """Threads that post one batch after the other and note which were answered 202."""

    def __init__(self, server: Httpd, threads: int = 4, path: str = "/v2/events") -> None:
        self.accepted: list[str] = []
        self.refused: list[str] = []
        self.statuses: dict[int, int] = {}
        self._server, self._path = server, path
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(DEADLINE)

    def wait(self, more: int) -> None:
        """Waits until so many more have been accepted."""
        target = len(self.accepted) + more
        wait_until(lambda: len(self.accepted) >= target, f"{more} more batches to be accepted")

    def _run(self) -> None:
        while not self._ending.is_set():
            name = unique()
            try:
                status = self._server.post(self._path, batch(name)).status
            except OSError:
                continue
            with self._lock:
                self.statuses[status] = self.statuses.get(status, 0) + 1
                (self.accepted if status == 202 else self.refused).append(name)


def assert_delivered(aws, load: Load) -> None:
    assert set(load.statuses) <= {202, 503}, load.statuses
    ledger.wait_ids(aws, load.accepted)
    assert not set(load.refused) & set(ledger.ids(aws)), "a refused batch was forwarded"


@every_mpm
def test_starts_and_stops_idle_without_a_word(aws, httpd, mpm):
    server = httpd(configs.one_of_each(aws.url), mpm=mpm)
    wait_until(server.children, "children")
    assert server.stop() < KILLED_AFTER_SECONDS
    assert "KF0501" in server.log()


@pytest.mark.soak
@every_mpm
def test_stops_while_children_start_end_in_time(aws, httpd, mpm):
    more = "StartServers 16\nServerLimit 32\nMaxRequestWorkers 32\nMaxSpareServers 32" if mpm == "prefork" else ""
    server = httpd(configs.one_of_each(aws.url), mpm=mpm, mpm_lines=more)
    server.allow("AH00052", "AH00098", "AH00288", "AH03490")
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for pid in server.children()[::2]:
            os.kill(pid, 9)
        starting = time.monotonic() + 1.3 * random.random()
        wait_until(lambda: time.monotonic() >= starting, "children to be on their way")
        assert server.stop() < KILLED_AFTER_SECONDS / 2
        server.start()


@every_mpm
def test_what_was_accepted_is_delivered_before_a_stop_ends(aws, httpd, mpm):
    aws.set_latency(200)
    server = httpd(configs.one_of_each(aws.url), mpm=mpm)
    posted = [unique() for _ in range(20)]
    for name in posted:
        assert server.post("/v2/events", batch(name)).status == 202
    server.stop()
    ledger.assert_exactly(aws, posted)


@every_mpm
def test_graceful_restarts_under_load_lose_and_repeat_nothing(aws, httpd, mpm):
    server = httpd(configs.one_of_each(aws.url), mpm=mpm)
    with Load(server) as load:
        for _ in range(3):
            load.wait(50)
            server.graceful()
        load.wait(50)
    ledger.assert_exactly(aws, load.accepted)
    assert set(load.statuses) == {202}


@every_mpm
def test_a_graceful_stop_under_load_delivers_all_it_accepted(aws, httpd, mpm):
    server = httpd(configs.one_of_each(aws.url), mpm=mpm)
    with Load(server) as load:
        load.wait(50)
        server.graceful_stop()
    ledger.assert_exactly(aws, load.accepted)


@mpm_that_stops_well_under_load
def test_a_stop_under_load_ends_in_time_and_delivers_all_it_accepted(aws, httpd, mpm):
    server = httpd(configs.one_of_each(aws.url), mpm=mpm)
    with Load(server) as load:
        load.wait(50)
        assert server.stop() < KILLED_AFTER_SECONDS
    assert_delivered(aws, load)


@mpm_that_stops_well_under_load
def test_restarts_at_once_under_load_deliver_all_that_was_accepted(aws, httpd, mpm):
    server = httpd(configs.one_of_each(aws.url), mpm=mpm)
    with Load(server) as load:
        for _ in range(2):
            load.wait(50)
            server.restart()
        load.wait(50)
    assert_delivered(aws, load)


@every_mpm
def test_children_that_serve_few_connections_lose_nothing(aws, httpd, mpm):
    limit = "MaxConnectionsPerChild 20" + ("\nMaxSpareServers 4" if mpm == "prefork" else "")
    server = httpd(configs.one_of_each(aws.url), mpm=mpm, mpm_lines=limit)
    first = set(server.children())
    with Load(server) as load:
        load.wait(300)
    ledger.assert_exactly(aws, load.accepted)
    wait_until(lambda: not first & set(server.children()), "the first children to be replaced")


@every_mpm
def test_a_killed_child_is_replaced_and_serves(aws, httpd, mpm):
    server = httpd(configs.one_of_each(aws.url), mpm=mpm)
    server.allow("AH00052", "AH00051")
    aws.set_latency(300)
    posted = [unique() for _ in range(10)]
    for name in posted:
        assert server.post("/v2/events", batch(name)).status == 202
    old = server.children()
    for pid in old:
        os.kill(pid, 9)
    server.wait_replaced(old)
    wait_until(lambda: set(server.children()) - set(old), "new children")
    name = unique()
    assert server.post("/v2/events", batch(name)).status == 202
    ledger.wait_ids(aws, [*posted, name])


@every_mpm
def test_a_stop_with_a_hanging_destination_ends_within_the_shutdown_timeout(aws, httpd, mpm):
    aws.add_fault("hang", match={"operation": "PutRecords"})
    server = httpd(configs.one_of_each(aws.url) + "KinesisShutdownTimeout 2s\n", mpm=mpm)
    server.allow("KF0405", "AH00045")
    posted = [unique() for _ in range(10)]
    for name in posted:
        assert server.post("/v2/events", batch(name)).status == 202
    wait_until(lambda: aws.calls("PutRecords"), "a call that hangs")
    assert server.stop() < 5
    aws.clear_faults()
    server.start()
    ledger.assert_exactly(aws, posted)


@every_mpm
def test_a_stop_hurries_children_that_are_ending_gracefully(aws, httpd, mpm):
    """They would have eight seconds for calls that hang."""
    aws.add_fault("hang", match={"operation": "PutRecords"})
    server = httpd(configs.one_of_each(aws.url) + "KinesisShutdownTimeout 8s\n", mpm=mpm,
                   mpm_lines="" if mpm == "prefork" else "StartServers 1\nServerLimit 1\nMaxRequestWorkers 16")
    server.allow("KF0405", "AH00045")
    posted = [unique() for _ in range(10)]
    for name in posted:
        assert server.post("/v2/events", batch(name)).status == 202
    wait_until(lambda: aws.calls("PutRecords"), "a call that hangs")
    server.signal(signal.SIGWINCH)
    wait_until(lambda: "caught SIGWINCH" in server.log(), "httpd to begin its graceful stop")
    assert server.stop() < 8
    assert "KF0308" in server.log()
    aws.clear_faults()
    server.start()
    ledger.assert_exactly(aws, posted)


# Calls that take longer than httpd's patience of three seconds, after which it says "at once" once more.
SLOW_MS = 3500


@every_mpm
def test_calls_under_way_are_finished_at_a_restart(aws, httpd, mpm):
    server = httpd(configs.one_of_each(aws.url), mpm=mpm)
    server.allow("AH00045")
    aws.set_latency(SLOW_MS)
    posted = [unique() for _ in range(10)]
    for name in posted:
        assert server.post("/v2/events", batch(name)).status == 202
    wait_until(lambda: sum(call["records"] for call in aws.calls("PutRecords")) == len(posted), "the calls to begin")
    server.restart()
    aws.set_latency(0)
    assert_once(aws, server, posted)


@every_mpm
@pytest.mark.parametrize("end", ["stop", "restart"])
def test_calls_of_children_that_end_gracefully_are_finished_at_an_end_at_once(aws, httpd, mpm, end):
    server = httpd(configs.one_of_each(aws.url), mpm=mpm)
    server.allow("AH00045")
    aws.set_latency(1000)
    posted = [unique() for _ in range(10)]
    for name in posted:
        assert server.post("/v2/events", batch(name)).status == 202
    wait_until(lambda: aws.calls("PutRecords"), "a call")
    server.graceful()
    if end == "stop":
        server.stop()
        server.start()
    else:
        server.restart()
    assert_once(aws, server, posted)


@every_mpm
def test_a_stop_begins_no_call_that_it_does_not_wait_for(aws, httpd, mpm):
    server = httpd(configs.one_of_each(aws.url) + "KinesisPutMode single\nKinesisMaxInFlight 2\n"
                   "KinesisShutdownTimeout 2s\n", mpm=mpm)
    aws.set_latency(300)
    posted = [unique() for _ in range(100)]
    assert server.post("/v2/events", b"[" + b",".join(map(batch, posted)) + b"]").status == 202
    wait_until(lambda: aws.calls("PutRecord"), "a call")
    server.stop()
    assert len(aws.calls("PutRecord")) < len(posted)
    aws.set_latency(0)
    server.start()
    assert_once(aws, server, posted)


def assert_once(aws, server, posted):
    """Nothing was given up that AWS took: each came once, and no call's answer was not read."""
    ledger.assert_exactly(aws, posted)
    assert {call["answer"] for call in aws.calls() if call["operation"].startswith("PutRecord")} == {"delivered"}


@pytest.mark.parametrize("mpm", ["event", "worker"])
def test_a_graceful_restart_with_a_hanging_destination_serves_on_and_delivers_once_it_answers(aws, httpd, mpm):
    aws.add_stream("stuck")
    aws.add_fault("hang", match={"stream": "stuck"})
    server = httpd(defaults(aws.url) + connection("stuck", stream="stuck") + connection("fine")
                   + location("/stuck", "stuck") + location("/fine", "fine"), mpm=mpm)
    server.allow("KF0405")
    stuck, fine = unique(), unique()
    assert server.post("/stuck", batch(stuck)).status == 202
    wait_until(lambda: aws.calls("PutRecords"), "a call that hangs")
    old = server.children()
    server.graceful()
    assert server.post("/fine", batch(fine)).status == 202
    ledger.wait_ids(aws, [fine])
    aws.clear_faults()
    aws.stop_accepting(0.2, drop=True)
    ledger.wait_ids(aws, [stuck], "stuck")
    server.wait_replaced(old)


@every_mpm
def test_a_changed_configuration_holds_after_a_graceful_restart(aws, httpd, mpm):
    aws.add_stream("other")
    server = httpd(configs.one_of_each(aws.url), mpm=mpm)
    old = server.children()
    server.configure(defaults(aws.url) + connection("two", stream="other") + location("/v2/events", "two"))
    server.graceful()
    server.wait_replaced(old)
    name = unique()
    assert server.post("/v2/events", batch(name)).status == 202
    ledger.wait_ids(aws, [name], "other")


@every_mpm
def test_many_graceful_restarts_leave_no_process_and_no_descriptor_behind(aws, httpd, mpm):
    server = httpd(configs.one_of_each(aws.url), mpm=mpm)
    server.graceful()
    before = len(os.listdir(f"/proc/{server.process.pid}/fd"))
    for _ in range(8):
        old = server.children()
        server.graceful()
        assert server.post("/v2/events", batch()).status == 202
        server.wait_replaced(old)
    assert len(os.listdir(f"/proc/{server.process.pid}/fd")) <= before + 1
    assert aws.wait_for(8) == 8


@pytest.mark.parametrize("mpm", ["event", "worker", "prefork"])
def test_a_single_process_serves_delivers_and_stops(aws, httpd, mpm):
    server = httpd(configs.one_of_each(aws.url), mpm=mpm, single_process=True)
    posted = [unique() for _ in range(10)]
    for name in posted:
        assert server.post("/v2/events", batch(name)).status == 202
    ledger.assert_exactly(aws, posted)
    assert len(server.processes()) == 1
    assert server.stop() < KILLED_AFTER_SECONDS


def test_the_control_commands_of_apachectl_work(aws, httpd):
    server = httpd(configs.one_of_each(aws.url), start=False)

    def control(word: str) -> None:
        done = subprocess.run(server.command("-k", word), env=server.environment(), cwd="/", timeout=DEADLINE,
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0 and not done.stderr, done.stderr

    control("start")
    wait_until(lambda: "resuming normal operations" in server.log(), "the server")
    first, second = unique(), unique()
    wait_until(lambda: server.post("/v2/events", batch(first)).status == 202, "the server to serve")
    control("graceful")
    wait_until(lambda: server.log().count("resuming normal operations") == 2, "the restart")
    assert server.post("/v2/events", batch(second)).status == 202
    control("stop")
    server.wait_dead()
    ledger.wait_ids(aws, [first, second])


def test_a_graceful_restart_does_not_break_a_slow_upload(aws, httpd):
    server = httpd(configs.one_of_each(aws.url))
    name = unique()
    body = batch(name)
    head = (f"POST /v2/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            "Expect: 100-continue\r\n\r\n")
    with server.client.connect() as stream:
        stream.sendall(head.encode())
        assert stream.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        stream.sendall(body[:20])
        server.graceful()
        stream.sendall(body[20:])
        assert server.client.answer_on(stream).status == 202
    ledger.wait_ids(aws, [name])


def test_a_server_without_any_of_our_directives_runs_with_the_module_loaded(httpd):
    server = httpd("")
    assert server.request("GET", "/").status in (403, 404)
    server.graceful()
    assert "KF0502" not in server.log()
