"""The store: what is on disk before a 202, what happens when AWS is away, when the store or the disk is full, when its
folder is not as it should be, and what is kept of records that AWS refuses."""
from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import stat
import struct
import subprocess
import threading
import time
from pathlib import Path
from typing import Iterator

import pytest

import configs
import ledger
import loadgen
import status_page
from client import Answer
from configs import batch, connection, defaults, location, unique
from httpd_server import DEADLINE, MPMS, Httpd, wait_until
from standin import StandIn
from test_load import FREED_IS_FREE, GROWTH_BYTES, MemoryWatch
from windows_index import Index

FAST_RETRIES = "KinesisRetryBackoff 10ms 200ms"
ONE_CHILD = "ServerLimit 1\nStartServers 1\nMaxRequestWorkers 16\nMaxSpareThreads 16"
KILLED = ("AH00052", "AH00098")
# While AWS is away.
AWAY = ("KF0405", "KF0305")
# The smallest that is allowed.
SMALL_STORE = "KinesisStoreLimit 16M"
STORE_BYTES = 16 << 20
DLQ = Path(os.environ.get("KF_BUILDDIR") or Path(__file__).resolve().parents[2]) / "kinesis-forward-dlq"


def names(count: int) -> list[str]:
    return [unique() for _ in range(count)]


def post(server: Httpd, name: str, path: str = "/v2/events", **members: object) -> Answer:
    return server.post(path, batch(name, **members))


def post_all(server: Httpd, posted: list[str], path: str = "/v2/events") -> None:
    for name in posted:
        assert post(server, name, path).status == 202


def store_of(server: Httpd) -> Path:
    return server.root / "store"


def segments(server: Httpd) -> list[Path]:
    return sorted((store_of(server) / "journal").glob("*.seg"))


def posted_and_killed(aws: StandIn, httpd, count: int, config: str = "", **options: object) -> tuple[Httpd, list[str]]:
    """A server that died, with so many batches in one segment of its store, which AWS never got."""
    aws.stop_accepting(drop=True)
    server = httpd(config or configs.one_of_each(aws.url, FAST_RETRIES), mpm_lines=ONE_CHILD, **options)
    server.allow(*AWAY, *KILLED)
    posted = names(count)
    post_all(server, posted)
    server.kill()
    aws.resume_accepting()
    return server, posted


# What a 202 waits for

class Trace:
    """The system calls of a server's processes, as strace wrote them, in the order in which they began and ended."""

    LINE = re.compile(r"^(?P<pid>\d+) +(?:<\.\.\. (?P<resumed>\w+) resumed>|(?P<call>\w+)\()(?P<rest>.*)$")

    def __init__(self, path: Path) -> None:
        self.steps: list[tuple[str, int, str, str]] = []
        begun: dict[int, str] = {}
        for line in path.read_text(errors="replace").splitlines():
            match = self.LINE.match(line)
            if not match:
                continue
            pid, rest = int(match["pid"]), match["rest"]
            if match["resumed"]:
                self.steps.append(("end", pid, match["resumed"], begun.pop(pid, "") + rest))
                continue
            self.steps.append(("begin", pid, match["call"], rest))
            if rest.endswith("<unfinished ...>"):
                begun[pid] = rest
            else:
                self.steps.append(("end", pid, match["call"], rest))

    def ends(self, call: str, text: str) -> list[int]:
        return [i for i, (what, _, name, rest) in enumerate(self.steps)
                if what == "end" and name == call and text in rest]

    def answers(self) -> list[int]:
        """Where a 202 begins to leave."""
        return [i for i, (what, _, name, rest) in enumerate(self.steps)
                if what == "begin" and name in ("write", "writev", "sendto") and "HTTP/1.1 202" in rest]

    def written_before(self, at: int) -> int:
        """Where the thread that does this step ended its last write to a segment."""
        pid = self.steps[at][1]
        return max(i for i in self.ends("pwrite64", ".seg>") if i < at and self.steps[i][1] == pid)

    def synced_between(self, begin: int, end: int) -> bool:
        """Whether a sync of a segment began and succeeded between these steps."""
        open_syncs = set()
        for what, pid, name, rest in self.steps[begin + 1:end]:
            if name == "fdatasync" and what == "begin" and ".seg>" in rest:
                open_syncs.add(pid)
            elif name == "fdatasync" and what == "end" and pid in open_syncs and rest.endswith("= 0"):
                return True
        return False


@pytest.fixture
def traced(aws, httpd):
    """Runs a server under strace, posts to it from several threads, and stops it: the trace and the number of posts."""
    if not shutil.which("strace"):
        pytest.fail("strace is not there (Debian: apt-get install strace)", pytrace=False)

    def run(durability: str, mpm: str = "event") -> tuple[Trace, int]:
        calls = "pwrite64,fdatasync,fsync,write,writev,sendto"
        server = httpd(configs.one_of_each(aws.url) + f"KinesisDurability {durability}\n", mpm=mpm,
                       wrapper=["strace", "-D", "-f", "-y", "-s", "20", "-e", f"trace={calls}", "-e", "signal=none",
                                "-o", "@ROOT@/trace"], mpm_lines=ONE_CHILD if mpm != "prefork" else "")
        posted = names(48)
        threads = [threading.Thread(target=post_all, args=(server, posted[i::6])) for i in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        ledger.assert_exactly(aws, posted)
        server.stop()
        trace = Trace(server.root / "trace")
        assert len(trace.answers()) == len(posted)
        return trace, len(posted)
    return run


@pytest.mark.parametrize("mpm", MPMS)
def test_with_disk_no_202_leaves_before_the_sync_that_covers_it(traced, mpm):
    trace, _ = traced("disk", mpm)
    for at in trace.answers():
        assert trace.synced_between(trace.written_before(at), at), trace.steps[at]


def test_with_process_each_202_follows_a_write_and_nothing_is_synced(traced):
    trace, posted = traced("process")
    assert len({trace.written_before(at) for at in trace.answers()}) == posted
    assert not trace.ends("fdatasync", "/journal/")


def test_with_memory_nothing_is_written_while_there_is_room(traced):
    trace, _ = traced("memory")
    assert not trace.ends("pwrite64", ".seg>")


def test_with_memory_what_is_queued_at_a_stop_is_in_the_store(aws, httpd):
    aws.add_fault("hang", match={"operation": "PutRecords"})
    server = httpd(configs.one_of_each(aws.url) + "KinesisDurability memory\nKinesisShutdownTimeout 500ms\n")
    server.allow(*AWAY, "AH00045")
    posted = names(20)
    post_all(server, posted)
    server.stop()
    aws.clear_faults()
    server.start()
    ledger.wait_ids(aws, posted)


# AWS is away

def out_of_place(delivered: list[str], posted: list[str]) -> float:
    """How many places from its own a record stands on average; a third of their number where there is no order."""
    ranks = {name: rank for rank, name in enumerate(posted)}
    return sum(abs(place - ranks[name]) for place, name in enumerate(delivered)) / len(delivered)


def outage(aws, httpd, seconds: float, record_property) -> None:
    server = httpd(defaults(aws.url, FAST_RETRIES) + connection("one", "KinesisRecordFormat received")
                   + location("/v2/events", "one"), mpm_lines=ONE_CHILD, sanitizer_options=FREED_IS_FREE)
    server.allow(*AWAY, "KF0202", "AH00484")
    with loadgen.Load(server.port, "/v2/events", connections=16, processes=1) as load, MemoryWatch(server) as memory:
        wait_until(lambda: aws.total() > 100, "the first records")
        aws.stop_accepting(drop=True)
        time.sleep(seconds)
    away = sum(path.stat().st_size for path in segments(server))
    aws.resume_accepting()
    begun = time.monotonic()
    account = ledger.balance(aws, load.outcome, timeout=DEADLINE + 2 * seconds)
    took = time.monotonic() - begun
    grown = max(memory.samples) - memory.samples[0]
    record_property("numbers", f"{account.batches} accepted at {account.batches / load.outcome.duration:.0f}/s, "
                    f"{away >> 20} MiB in the store, read back and delivered within {took:.1f} s, child grown by "
                    f"{grown >> 20} MiB; {account}")
    assert grown <= GROWTH_BYTES
    wait_until(lambda: sum(path.stat().st_size for path in segments(server)) < 40 << 20, "the store to shrink")


def test_an_outage_fills_the_disk_not_memory_and_all_is_delivered_afterwards(aws, httpd, record_property):
    outage(aws, httpd, 4, record_property)


@pytest.mark.soak
def test_an_outage_of_minutes_fills_the_disk_not_memory(aws, httpd, record_property):
    outage(aws, httpd, float(os.environ.get("KF_SOAK_SECONDS") or 120), record_property)


def test_a_backlog_is_read_back_oldest_first(aws, httpd, record_property):
    """All but what memory held at first comes in the order in which it was accepted: how far a record may be out of
    its place follows from what memory holds, however many wait and however slow the machine is."""
    queue = 64
    aws.stop_accepting(drop=True)
    server = httpd(configs.one_of_each(aws.url, FAST_RETRIES, "KinesisMaxInFlight 1", f"KinesisQueueSize {queue}")
                   + SMALL_STORE + "\n", mpm_lines=ONE_CHILD)
    server.allow(*AWAY)
    posted = names(3000)
    for i in range(0, len(posted), 20):
        assert server.post("/v2/events", b"[" + b",".join(map(batch, posted[i:i + 20])) + b"]").status == 202
    assert len(segments(server)) > 3
    aws.resume_accepting()
    ledger.assert_exactly(aws, posted)
    places = out_of_place(ledger.ids(aws), posted)
    record_property("numbers", f"{places:.1f} places out of its own on average, of {len(posted)}")
    assert places < 2 * queue < len(posted) / 3 / 7


def test_a_connection_whose_aws_is_away_slows_no_other(aws, httpd, record_property):
    with StandIn(streams={"away": 1}) as other:
        server = httpd(defaults(aws.url, FAST_RETRIES) + connection("fine", "KinesisRecordFormat received")
                       + connection("away", f"KinesisEndpoint {other.url}", stream="away")
                       + location("/fine", "fine") + location("/away", "away"), mpm_lines=ONE_CHILD)
        server.allow(*AWAY)

        def measure() -> loadgen.Outcome:
            with loadgen.Load(server.port, "/fine", connections=4, processes=1) as load:
                target = aws.total() + 300
                wait_until(lambda: aws.total() >= target, "300 records")
            return load.outcome

        before = measure()
        other.stop_accepting(drop=True)
        posted = names(300)
        post_all(server, posted, "/away")
        aws.reset(["ledger"])
        during = measure()
        ledger.balance(aws, during)
        record_property("numbers", f"p50 {before.percentile(.5) * 1000:.1f} ms before, "
                        f"{during.percentile(.5) * 1000:.1f} ms while the other is away")
        assert during.percentile(.5) < 5 * before.percentile(.5) + 0.05
        other.resume_accepting()
        ledger.assert_exactly(other, posted, "away")
        server.stop()


def test_two_slow_backlogs_hold_up_no_other_connection(aws, httpd):
    """Each of the two has far more waiting than memory has room for when the third's records come."""
    slow = {"slow-one": names(300), "slow-two": names(300)}
    for stream in slow:
        aws.add_stream(stream)
        aws.add_fault("delay", match={"stream": stream}, before_ms=2000)
    server = httpd(defaults(aws.url, FAST_RETRIES, "KinesisQueueSize 64", "KinesisMaxInFlight 1")
                   + "".join(connection(stream, stream=stream) + location(f"/{stream}", stream) for stream in slow)
                   + connection("third") + location("/third", "third"), mpm_lines=ONE_CHILD)
    third = names(300)
    # In bulk: however slow the disk is, all is posted before the slow ones have had two calls.
    for path, posted in [*slow.items(), ("third", third)]:
        for i in range(0, len(posted), 100):
            body = b"[" + b",".join(map(batch, posted[i:i + 100])) + b"]"
            assert server.post(f"/{path}", body).status == 202
    ledger.assert_exactly(aws, third)
    for stream, posted in slow.items():
        assert len(ledger.ids(aws, stream)) < len(posted) / 2
    aws.clear_faults()
    for stream, posted in slow.items():
        ledger.assert_exactly(aws, posted, stream)


# The store is full

def fill(server: Httpd, path: str = "/v2/events", most: int = 2000) -> tuple[list[str], Answer]:
    """Posts until the answer is 503; what was accepted before, and that answer."""
    accepted = []
    for name in names(most):
        answer = post(server, name, path, padding="x" * 50_000)
        if answer.status != 202:
            return accepted, answer
        accepted.append(name)
    raise AssertionError("nothing bounded what was accepted")


def assert_refused(answer: Answer) -> None:
    assert answer.status == 503 and answer.error()
    assert 1 <= int(answer.headers["Retry-After"]) <= 300


def accepts_again(server: Httpd, path: str = "/v2/events") -> str:
    name = unique()
    wait_until(lambda: post(server, name, path).status == 202, "room again")
    return name


def test_at_the_stores_limit_senders_get_503_and_are_served_again_once_aws_is_back(aws, httpd):
    aws.stop_accepting(drop=True)
    server = httpd(configs.one_of_each(aws.url, FAST_RETRIES) + SMALL_STORE + "\n", mpm_lines=ONE_CHILD)
    server.expect("KF0202")
    server.allow(*AWAY)
    accepted, refusal = fill(server)
    assert_refused(refusal)
    size = sum(path.stat().st_size for path in store_of(server).rglob("*") if path.is_file())
    assert STORE_BYTES / 2 < size < STORE_BYTES * 1.1
    assert server.log().count("KF0202") == 1
    aws.resume_accepting()
    ledger.wait_ids(aws, [*accepted, accepts_again(server)])
    ledger.assert_no_unexplained_duplicates(aws)
    server.wait_log("KF0203")


def test_a_share_that_is_full_closes_only_what_feeds_its_connection(aws, httpd):
    with StandIn(streams={"away": 1}) as other:
        other.stop_accepting(drop=True)
        server = httpd(defaults(aws.url, FAST_RETRIES) + connection("fine")
                       + connection("away", f"KinesisEndpoint {other.url}", "KinesisStoreShare 25", stream="away")
                       + location("/fine", "fine") + location("/away", "away") + location("/both", "away", "fine")
                       + SMALL_STORE + "\n", mpm_lines=ONE_CHILD)
        server.expect("KF0202")
        server.allow(*AWAY)
        accepted, refusal = fill(server, "/away")
        assert_refused(refusal)
        assert 0.15 * STORE_BYTES < len(accepted) * 50_000 < 0.3 * STORE_BYTES
        refused, fine = unique(), names(40)
        assert_refused(post(server, refused, "/both", padding="x" * 50_000))
        post_all(server, fine, "/fine")
        ledger.assert_exactly(aws, fine)
        other.resume_accepting()
        ledger.wait_ids(other, [*accepted, accepts_again(server, "/away")], "away")
        assert refused not in ledger.ids(other, "away")
        server.stop()


def test_a_full_disk_is_a_503_until_there_is_room_again(aws, httpd):
    trial = ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"]
    if subprocess.run(trial, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root may mount a small file system")
    aws.stop_accepting(drop=True)
    mounted = 'mkdir "$0" && mount -t tmpfs -o size=8m none "$0" && exec "$@"'
    server = httpd(configs.one_of_each(aws.url, FAST_RETRIES) + 'KinesisStoreDirectory "@ROOT@/disk/store"\n',
                   wrapper=["unshare", "-m", "sh", "-c", mounted, "@ROOT@/disk"], mpm_lines=ONE_CHILD)
    server.expect("KF0601", "KF0602")
    server.allow(*AWAY, "KF0202", "KF0607", "KF0609", "KF0611")
    accepted, refusal = fill(server)
    assert_refused(refusal)
    assert accepted
    aws.resume_accepting()
    ledger.wait_ids(aws, [*accepted, accepts_again(server)])
    server.wait_log("KF0602")


def test_a_folder_that_cannot_be_written_is_a_503_until_it_can(aws, httpd):
    server = httpd(configs.one_of_each(aws.url, FAST_RETRIES) + SMALL_STORE + "\n", mpm_lines=ONE_CHILD)
    server.expect("KF0601", "KF0602")
    server.allow("KF0202", "KF0607", "KF0609")
    journal = store_of(server) / "journal"
    journal.chmod(0o500)
    try:
        accepted, refusal = fill(server)
        assert_refused(refusal)
        server.wait_log("KF0601")
        assert server.log().count("KF0601") == 1
    finally:
        journal.chmod(0o700)
    ledger.wait_ids(aws, [*accepted, accepts_again(server)])
    ledger.assert_no_unexplained_duplicates(aws)


# The folder

def test_the_store_is_made_for_its_user_only(aws, httpd):
    server = httpd(configs.one_of_each(aws.url))
    post_all(server, names(5))
    child = wait_until(server.children, "children")[0]
    owner = os.stat(f"/proc/{child}").st_uid
    for folder in (store_of(server), store_of(server) / "journal"):
        found = folder.stat()
        assert stat.S_IMODE(found.st_mode) == 0o700 and found.st_uid == owner
    assert os.geteuid() != 0 or owner != 0


def test_a_second_server_on_the_same_store_does_not_start_and_names_the_first(aws, httpd):
    first = httpd(configs.one_of_each(aws.url))
    second = httpd(configs.one_of_each(aws.url) + f'KinesisStoreDirectory "{store_of(first)}"\n', start=False)
    said = second.start_failing()
    assert "KF0505" in said and str(first.process.pid) in said
    assert second.configtest().returncode == 0, "a store in use is no error of the configuration"
    name = unique()
    assert post(first, name).status == 202
    ledger.wait_ids(aws, [name])


def test_children_whose_parent_was_killed_keep_the_store(aws, httpd):
    first = httpd(configs.one_of_each(aws.url), mpm="worker")
    first.allow(*KILLED)
    children = wait_until(first.children, "children")
    for pid in children:
        os.kill(pid, signal.SIGSTOP)
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait(DEADLINE)
    second = httpd(configs.one_of_each(aws.url) + f'KinesisStoreDirectory "{store_of(first)}"\n', start=False)
    try:
        assert "KF0505" in second.start_failing()
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
    first.wait_dead()
    second.start()


def foreign_owner(store: Path) -> None:
    os.chown(store, 1, 1)


def open_to_all(store: Path) -> None:
    store.chmod(0o755)


def a_file(store: Path) -> None:
    shutil.rmtree(store)
    store.write_text("")


def newer(store: Path) -> None:
    (store / "version").write_text("mod_kinesis_forward store 99\n")


def damaged_version(store: Path) -> None:
    (store / "version").write_text("\0\0\0\0")


def no_version(store: Path) -> None:
    (store / "version").unlink()


def corrupt_index(store: Path) -> None:
    for path in store.glob("index.db*"):
        path.unlink()
    index = store / "index.db"
    index.write_bytes(b"no database" * 1000)
    shutil.chown(index, store.stat().st_uid, store.stat().st_gid)


UNUSABLE = {
    "of another owner": (foreign_owner, "belongs to user"), "open to others": (open_to_all, "chmod 700"),
    "a file": (a_file, "is not a folder"), "of a newer version": (newer, "newer version"),
    "with a damaged version": (damaged_version, "damaged"), "without a version": (no_version, "no store"),
}


@pytest.mark.parametrize("why", UNUSABLE)
def test_a_folder_that_is_not_as_it_should_be_keeps_httpd_from_starting(aws, httpd, why):
    spoil, words = UNUSABLE[why]
    if spoil is foreign_owner and os.geteuid() != 0:
        pytest.skip("only root may give a folder away")
    server = httpd(configs.one_of_each(aws.url))
    server.stop()
    spoil(store_of(server))
    tested = server.configtest()
    assert tested.returncode != 0 and words in tested.stdout, tested.stdout
    said = server.start_failing()
    assert words in said and "KinesisStoreDirectory" in said


def test_a_folder_that_goes_bad_is_a_503_after_a_reload_and_not_the_end(aws, httpd):
    server = httpd(configs.one_of_each(aws.url))
    server.expect("KF0505")
    server.allow("KF0502")
    old = server.children()
    store_of(server).chmod(0o755)
    server.graceful()
    server.wait_replaced(old)
    wait_until(lambda: post(server, unique()).status == 503, "a refusal")
    store_of(server).chmod(0o700)
    server.graceful()
    ledger.wait_ids(aws, [accepts_again(server)])


# The index

def plain_and_windowed(aws: StandIn, *lines: str) -> str:
    """A connection `one` without windows, and `windowed` to the stream `second` with windows of a second."""
    aws.add_stream("second")
    return (defaults(aws.url, FAST_RETRIES, *lines) + connection("one")
            + connection("windowed", "KinesisBatchWindow 1s", stream="second")
            + location("/v2/events", "one") + location("/windowed", "windowed"))


def post_windowed(server: Httpd, posted: list[str], path: str = "/windowed") -> None:
    """Each of a device of its own."""
    for name in posted:
        assert post(server, name, path, mp_deviceid=name).status == 202


def other_database(store: Path) -> None:
    corrupt_index(store)
    (store / "index.db").unlink()
    with sqlite3.connect(store / "index.db") as other:
        other.execute("CREATE TABLE somebody_elses (x)")
    shutil.chown(store / "index.db", store.stat().st_uid, store.stat().st_gid)


def newer_index(store: Path) -> None:
    with sqlite3.connect(store / "index.db") as index:
        index.execute("PRAGMA user_version=1000")


def truncated_index(store: Path) -> None:
    """Empty, while what was written last is in its log."""
    os.truncate(store / "index.db", 0)
    assert (store / "index.db-wal").stat().st_size > 0


def lost_index(store: Path) -> None:
    (store / "index.db").unlink()


def read_only_index(store: Path) -> None:
    (store / "index.db").chmod(0o400)


def a_folder(store: Path) -> None:
    corrupt_index(store)
    (store / "index.db").unlink()
    (store / "index.db").mkdir()


def cut_index(store: Path) -> None:
    """Its log in it, and without its second half."""
    sqlite3.connect(store / "index.db").execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
    for end in ("-wal", "-shm"):
        (store / f"index.db{end}").unlink(missing_ok=True)
    os.truncate(store / "index.db", (store / "index.db").stat().st_size // 2)


SPOILT = {
    "garbage": (corrupt_index, "KF0613", "left as it is"), "cut in half": (cut_index, "KF0613", "left as it is"),
    "empty but for its log": (truncated_index, "KF0611", "log of changes"),
    "gone but for its log": (lost_index, "KF0611", "log of changes"),
    "another program's": (other_database, "KF0611", "another program"),
    "a newer version's": (newer_index, "KF0611", "newer version"),
    "read-only": (read_only_index, "KF0611", "be written"), "a folder": (a_folder, "KF0611", "cannot be opened"),
}


@pytest.mark.parametrize("how", SPOILT)
def test_an_index_that_cannot_be_used_holds_up_windows_and_dead_letters_and_nothing_else(aws, httpd, how):
    spoil, message, words = SPOILT[how]
    if spoil is read_only_index and os.geteuid() != 0:
        pytest.skip("a user's own file is put right by opening it anew")
    server, before = posted_and_killed(aws, httpd, 10, plain_and_windowed(aws))
    spoil(store_of(server))
    server.expect(message, "KF0612", "KF0304")
    aws.add_fault("poison", contains="poisoned", id="poison")
    server.start()
    server.wait_log(words)
    plain, windowed, bad = names(10), names(10), unique()
    post_windowed(server, windowed)
    bodies = [batch(bad, note="poisoned"), *map(batch, plain)]
    assert server.post("/v2/events", b"[" + b",".join(bodies) + b"]").status == 202
    ledger.assert_exactly(aws, before + plain)
    more = names(2)
    post_windowed(server, more)
    assert server.log().count(message) == 1 and not ledger.ids(aws, "second")
    # What the operator is told to do, while httpd runs.
    aside = server.root / "aside"
    aside.mkdir()
    for path in store_of(server).glob("index.db*"):
        path.rename(aside / path.name)
    ledger.assert_exactly(aws, windowed + more, "second")
    wait_until(lambda: [json.loads(letter["data"])["source_request_id"] for letter in letters(server, server.root)]
               == [bad], "the dead letter")
    assert list(aside.iterdir())


def test_uploads_wait_for_a_damaged_index_over_a_restart(aws, httpd):
    server, _ = posted_and_killed(aws, httpd, 0, plain_and_windowed(aws))
    corrupt_index(store_of(server))
    server.expect("KF0613")
    server.start()
    posted = names(5)
    post_windowed(server, posted)
    server.stop()
    assert (store_of(server) / "index.db").read_bytes().startswith(b"no database")
    for path in store_of(server).glob("index.db*"):
        path.rename(server.root / path.name)
    server.start()
    ledger.assert_exactly(aws, posted, "second")


def test_damage_in_the_log_of_the_index_is_told_and_the_log_kept(aws, httpd):
    config = configs.one_of_each(aws.url, "KinesisBatchWindow 600s") + status_page.STATUS
    server = httpd(config, mpm_lines=ONE_CHILD)
    server.allow(*KILLED)
    index, log = Index(server), store_of(server) / "index.db-wal"
    copy = store_of(server) / "index.db-wal.1.damaged"
    for uploads in range(1, 13):
        post_windowed(server, names(1), "/v2/events")
        wait_until(lambda: index.uploads() == uploads, "the upload in its window")
        if uploads == 6:
            sound = log.stat().st_size
    server.kill()
    data = bytearray(log.read_bytes())
    data[sound + 2000] ^= 0xff
    log.write_bytes(data)
    server.expect("KF0615")
    server.start()
    server.wait_log("KF0615")
    said = r"KF0615: .*about [5-9]\d* transactions \(\d+ pages\) lost; kept as \S+/index\.db-wal\.1\.damaged;"
    assert re.search(said, server.log())
    assert copy.read_bytes() == data and copy.stat().st_uid == store_of(server).stat().st_uid
    wait_until(lambda: any(row["id"] == "KF0615" for row in status_page.data(server)["alerts"]["list"]), "the alert")
    # What is left goes on: six uploads, and those that the journal had no note of yet.
    left = wait_until(lambda: index.uploads() >= 6 and index.uploads(), "the windows")
    assert left <= 12
    post_windowed(server, names(1), "/v2/events")
    wait_until(lambda: index.uploads() > left, "another upload")
    server.stop()
    server.start()
    assert server.log().count("KF0615") == 1


def change_index(server: Httpd, sql: str) -> None:
    index = sqlite3.connect(store_of(server) / "index.db", timeout=DEADLINE)
    index.execute(sql)
    index.commit()
    index.close()


def test_an_index_that_fails_while_uploads_come_in_takes_no_room_from_other_connections(aws, httpd):
    """Far more uploads than memory has room for, of two connections, while none can be filed."""
    aws.add_stream("third")
    config = plain_and_windowed(aws) + "KinesisQueueSize 64\n" \
        + connection("other", "KinesisBatchWindow 1s", stream="third") + location("/other", "other")
    server = httpd(config, mpm_lines=ONE_CHILD)
    server.expect("KF0611")
    server.allow("KF0612")
    first = unique()
    post_windowed(server, [first])
    ledger.assert_exactly(aws, [first], "second")
    change_index(server, "CREATE TRIGGER broken BEFORE INSERT ON upload BEGIN SELECT raise(ABORT, 'no'); END")
    windowed, other, plain = names(200), names(200), names(100)
    post_windowed(server, windowed)
    post_windowed(server, other, "/other")
    server.wait_log("KF0611")
    post_all(server, plain)
    ledger.assert_exactly(aws, plain)
    assert ledger.ids(aws, "second") == [first] and not ledger.ids(aws, "third")
    change_index(server, "DROP TRIGGER broken")
    ledger.assert_exactly(aws, [first, *windowed], "second")
    ledger.assert_exactly(aws, other, "third")


# What is in it

def frames(path: Path) -> list[int]:
    """Where each frame of a segment starts."""
    data = path.read_bytes()
    at, found = struct.unpack_from("<I", data, 8)[0], []
    while data[at:at + 4] in (b"KFJF", b"KFJV"):
        found.append(at)
        payload = struct.unpack_from("<I", data, at + 8)[0] if data[at:at + 4] == b"KFJF" else 0
        at = (at + 24 + payload + 7) // 8 * 8
    return found


def test_what_was_accepted_before_a_power_cut_is_delivered_after_the_next_start(aws, httpd):
    server, posted = posted_and_killed(aws, httpd, 50)
    server.start()
    ledger.assert_exactly(aws, posted)


def test_of_a_damaged_segment_the_rest_is_delivered_and_the_file_is_kept(aws, httpd):
    server, posted = posted_and_killed(aws, httpd, 20)
    path = segments(server)[0]
    starts = frames(path)
    assert len(starts) == 20
    with open(path, "r+b") as file:
        file.seek(starts[10] + 100)
        was = file.read(8)
        file.seek(starts[10] + 100)
        file.write(bytes(byte ^ 0xff for byte in was))
    server.expect("KF0603")
    server.start()
    ledger.wait_ids(aws, [name for i, name in enumerate(posted) if i != 10])
    wait_until(lambda: list((store_of(server) / "journal").glob("*.damaged*")), "the damaged file")
    assert posted[10] not in ledger.ids(aws)


def test_a_frame_cut_short_is_no_harm_to_the_others(aws, httpd):
    server, posted = posted_and_killed(aws, httpd, 20)
    path = segments(server)[0]
    os.truncate(path, frames(path)[-1] + 50)
    server.expect("KF0604")
    server.start()
    ledger.assert_exactly(aws, posted[:-1])
    server.wait_log("KF0604")


def test_a_file_that_is_none_of_ours_is_left_alone(aws, httpd):
    server, posted = posted_and_killed(aws, httpd, 5)
    foreign = store_of(server) / "journal" / "other.seg"
    foreign.write_text("something else\n" * 100)
    shutil.chown(foreign, foreign.parent.stat().st_uid, foreign.parent.stat().st_gid)
    server.expect("KF0606")
    server.start()
    ledger.assert_exactly(aws, posted)
    server.wait_log("KF0606")
    assert foreign.read_text().startswith("something else")
    assert server.log().count("KF0606") == 1


def is_raised(server: Httpd, alert: str) -> bool:
    return any(row["id"] == alert and row["active"] for row in status_page.data(server)["alerts"]["list"])


def served_beside(aws: StandIn, server: Httpd, alert: str) -> list[str]:
    """Starts it with a segment that cannot be read, which is told; what is posted then is delivered all the same."""
    server.expect(alert)
    server.start()
    server.wait_log(alert)
    after = names(10)
    post_all(server, after)
    ledger.assert_exactly(aws, after)
    return after


def not_for_us(path: Path) -> None:
    path.chmod(0)


def of_root(path: Path) -> None:
    os.chown(path, 0, 0)


@pytest.mark.parametrize("spoil", [not_for_us, of_root])
def test_a_segment_that_may_not_be_opened_waits_until_it_may(aws, httpd, spoil):
    if os.geteuid() != 0 and spoil is of_root:
        pytest.skip("only root may give a file away")
    server, before = posted_and_killed(aws, httpd, 10, configs.one_of_each(aws.url, FAST_RETRIES) + status_page.STATUS)
    path = segments(server)[0]
    was, held = path.stat(), path.read_bytes()
    spoil(path)
    after = served_beside(aws, server, "KF0606")
    assert path.read_bytes() == held if os.geteuid() == 0 else path.exists()
    assert server.log().count("KF0606") == 1 and path.name in server.log()
    assert is_raised(server, "KF0606")
    os.chown(path, was.st_uid, was.st_gid)
    path.chmod(stat.S_IMODE(was.st_mode))
    ledger.assert_exactly(aws, before + after)
    wait_until(lambda: not path.exists(), "the segment to go")
    wait_until(lambda: not is_raised(server, "KF0606"), "the alert to be over")


def foreign_outcomes(path: Path) -> None:
    path.write_text("somebody's own notes\n" * 10)


def damaged_outcomes(path: Path) -> None:
    """An ordinal of the first note is another, which its checksum tells."""
    held = bytearray(path.read_bytes())
    held[8] ^= 1
    path.write_bytes(held)


@pytest.mark.parametrize("spoil", [foreign_outcomes, damaged_outcomes])
def test_outcomes_that_are_none_cost_repeats_at_most_and_the_file_is_kept(aws, httpd, spoil):
    server = httpd(configs.one_of_each(aws.url, FAST_RETRIES), mpm_lines=ONE_CHILD)
    server.allow(*AWAY, *KILLED)
    noted, waiting = names(10), names(10)
    post_all(server, noted)
    ledger.assert_exactly(aws, noted)
    outcomes = segments(server)[0].with_suffix(".out")
    wait_until(lambda: outcomes.exists() and outcomes.stat().st_size > 0, "a note")
    aws.stop_accepting(drop=True)
    post_all(server, waiting)
    server.kill()
    aws.resume_accepting()
    spoil(outcomes)
    held = outcomes.read_bytes()
    server.expect("KF0603")
    server.start()
    ledger.wait_ids(aws, noted + waiting)
    wait_until(lambda: not outcomes.with_suffix(".seg").exists(), "all to be done")
    assert outcomes.name in server.log() and server.log().count("KF0603") == 1
    assert outcomes.with_suffix(".out.damaged").read_bytes() == held
    assert set(ledger.ids(aws)) == {*noted, *waiting}


def test_a_segment_whose_outcomes_cannot_be_opened_waits_until_they_can(aws, httpd):
    server, before = posted_and_killed(aws, httpd, 10)
    path = segments(server)[0]
    outcomes = path.with_suffix(".out")
    outcomes.mkdir()
    after = served_beside(aws, server, "KF0606")
    assert path.exists() and outcomes.is_dir()
    assert server.log().count("KF0606") == 1 and outcomes.name in server.log()
    outcomes.rmdir()
    ledger.assert_exactly(aws, before + after)


def test_windows_of_a_connection_that_is_gone_wait_until_it_is_configured_again(aws, httpd):
    aws.add_stream("second")
    one = defaults(aws.url, FAST_RETRIES) + connection("one") + location("/v2/events", "one") + status_page.STATUS
    both = one + connection("windowed", "KinesisBatchWindow 600s", stream="second") + location("/windowed", "windowed")
    server = httpd(both, mpm_lines=ONE_CHILD)
    server.expect("KF0654")
    windowed, plain, more = names(5), names(5), names(5)
    post_windowed(server, windowed)
    index = Index(server)
    wait_until(lambda: index.is_made() and index.uploads() == len(windowed), "the windows")
    server.configure(one)
    server.graceful()
    server.wait_log("KF0654")
    wait_until(lambda: is_raised(server, "KF0654"), "the alert")
    index.pass_time(700)
    post_all(server, plain)
    ledger.assert_exactly(aws, plain)
    assert index.uploads() == len(windowed) and not ledger.ids(aws, "second")
    server.restart()
    wait_until(lambda: is_raised(server, "KF0654"), "the alert after a restart")
    assert index.uploads() == len(windowed) and not ledger.ids(aws, "second")
    server.configure(both)
    server.graceful()
    ledger.assert_exactly(aws, windowed, "second")
    wait_until(lambda: not is_raised(server, "KF0654"), "the alert to be over")
    post_windowed(server, more)
    wait_until(lambda: index.uploads() == len(more), "windows as before")
    assert not [name for name in more if name in ledger.ids(aws, "second")]


def test_records_of_a_connection_that_is_gone_wait_until_it_is_configured_again(aws, httpd):
    aws.add_stream("second")
    one = defaults(aws.url, FAST_RETRIES) + connection("one") + location("/one", "one")
    both = one + connection("two", stream="second") + location("/two", "two")
    server, _ = posted_and_killed(aws, httpd, 0, both)
    aws.stop_accepting(drop=True)
    server.start()
    first, second = names(10), names(10)
    post_all(server, first, "/one")
    post_all(server, second, "/two")
    server.kill()
    aws.resume_accepting()
    server.configure(one)
    server.expect("KF0605")
    server.start()
    ledger.assert_exactly(aws, first)
    server.wait_log("KF0605")
    assert not ledger.ids(aws, "second")
    server.configure(both)
    server.graceful()
    ledger.assert_exactly(aws, second, "second")


@pytest.mark.parametrize("mpm", MPMS)
def test_two_generations_share_the_store_after_a_reload(aws, httpd, mpm):
    server = httpd(configs.one_of_each(aws.url, FAST_RETRIES), mpm=mpm)
    server.allow(*AWAY)
    aws.stop_accepting(drop=True)
    posted = names(30)
    post_all(server, posted[:15])
    slow = batch(posted[15])
    with server.client.connect() as stream:
        stream.sendall(b"POST /v2/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
                       b"%d\r\nExpect: 100-continue\r\n\r\n" % len(slow))
        assert stream.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        server.graceful()
        post_all(server, posted[16:])
        aws.resume_accepting()
        ledger.wait_ids(aws, posted[16:])
        stream.sendall(slow)
        assert server.client.answer_on(stream).status == 202
    ledger.assert_exactly(aws, posted)


# Time on hold

@pytest.mark.parametrize("stopped", ["killed", "stopped"])
def test_time_on_hold_counts_for_nothing_over_a_restart(aws, httpd, stopped):
    """On hold for longer than a record may grow old, then down, then a first failure that passes."""
    max_age = 2
    aws.add_fault("error", code="KMSDisabledException", status=400, id="hold")
    server = httpd(configs.one_of_each(aws.url, FAST_RETRIES, f"KinesisRetryMaxAge {max_age}s"))
    server.expect("KF0306", "KF0405")
    server.allow(*AWAY, *KILLED, "KF0307")
    posted = names(20)
    post_all(server, posted)
    server.wait_log("KF0306")
    wait_until(lambda: holds(server), "a note of the hold")
    accepted = time.monotonic()
    wait_until(lambda: time.monotonic() > accepted + 1.5 * max_age, "more than KinesisRetryMaxAge")
    (server.kill if stopped == "killed" else server.stop)()
    aws.clear_faults()
    aws.stop_accepting(drop=True)
    server.start()
    server.wait_log("KF0405")
    aws.resume_accepting()
    ledger.assert_exactly(aws, posted)
    wait_until(lambda: not any(is_open for _, _, is_open in holds(server)), "a note of its end")
    assert not letters(server, server.root) and "KF0304" not in server.log()


def holds(server: Httpd) -> list[tuple]:
    index = sqlite3.connect(f"file:{store_of(server)}/index.db?mode=ro", uri=True, timeout=DEADLINE)
    try:
        return index.execute("SELECT begin_us, end_us, is_open FROM hold").fetchall()
    except sqlite3.OperationalError:
        return []
    finally:
        index.close()


# Dead letters

def letters(server: Httpd, folder: Path) -> list[dict]:
    """The dead letters, read from a copy of the index."""
    for path in store_of(server).glob("index.db*"):
        shutil.copy(path, folder)
    database = sqlite3.connect(folder / "index.db")
    try:
        database.row_factory = sqlite3.Row
        found = database.execute("SELECT d.*, c.name FROM dead_letter d JOIN connection c ON c.id = d.connection "
                                 "ORDER BY d.id")
        return [dict(row) for row in found]
    finally:
        database.close()


def poisoned(aws: StandIn, httpd, count: int = 1) -> tuple[Httpd, list[str]]:
    """A server with so many dead letters. They come with good records: where all are refused it may be the stream."""
    aws.add_fault("poison", contains="poisoned", id="poison")
    server = httpd(configs.one_of_each(aws.url, FAST_RETRIES))
    server.expect("KF0304")
    bad, good = names(count), names(5)
    bodies = [batch(name, note="poisoned") for name in bad] + [batch(name) for name in good]
    assert server.post("/v2/events", b"[" + b",".join(bodies) + b"]").status == 202
    ledger.assert_exactly(aws, good)
    return server, bad


def test_a_record_that_aws_refuses_is_kept_with_why_and_survives(aws, httpd, tmp_path):
    server, bad = poisoned(aws, httpd)
    letter = wait_until(lambda: letters(server, tmp_path), "the dead letter")[0]
    assert letter["name"] == "one" and letter["reason"] == "refused" and letter["attempts"] >= 1
    assert letter["code"] and letter["request_id"] in {call["request_id"] for call in aws.calls()}
    assert json.loads(letter["data"])["source_request_id"] == bad[0]
    assert 0 < letter["accepted_us"] <= letter["failed_us"]
    server.allow(*KILLED)
    server.kill()
    server.start()
    name = unique()
    assert post(server, name).status == 202
    ledger.wait_ids(aws, [name])
    assert [kept["id"] for kept in letters(server, tmp_path)] == [letter["id"]]


def test_an_event_that_is_too_large_by_itself_is_kept(aws, httpd, tmp_path):
    server = httpd(defaults(aws.url) + connection("one")
                   + location("/v2/events", "one", lines=("KinesisMaxBodySize 8M", )))
    server.expect("KF0304")
    small = {"event_type": "custom_event", "data": {"event_name": "small", "custom_event_type": "other"}}
    large = {"event_type": "custom_event", "data": {"event_name": "x" * (2 << 20), "custom_event_type": "other"}}
    assert server.post("/v2/events", batch(unique(), [small, large])).status == 202
    letter = wait_until(lambda: letters(server, tmp_path), "the dead letter")[0]
    assert letter["reason"] == "too-large" and b"x" * (2 << 20) in letter["data"]
    assert aws.wait_for(1) == 1


def dlq(server: Httpd, *arguments: str) -> str:
    assert DLQ.exists(), "kinesis-forward-dlq has not been built: run make"
    done = subprocess.run([str(DLQ), "--store", str(store_of(server)), *arguments], capture_output=True, text=True,
                          timeout=DEADLINE, check=False)
    assert done.returncode == 0, (arguments, done.returncode, done.stderr)
    return done.stdout


def listed(server: Httpd) -> list[dict]:
    return [json.loads(line) for line in dlq(server, "list", "--json").splitlines()]


def test_dead_letters_can_be_looked_at_exported_and_discarded_while_httpd_runs(aws, httpd):
    server, bad = poisoned(aws, httpd, 3)
    wait_until(lambda: len(listed(server)) == 3, "three dead letters")
    ids = [str(letter["id"]) for letter in listed(server)]
    assert bad[0] in dlq(server, "show", ids[0])
    exported = dlq(server, "export", "--format", "raw").splitlines()
    assert sorted(json.loads(line)["source_request_id"] for line in exported) == sorted(bad)
    dlq(server, "discard", ids[1])
    assert [str(letter["id"]) for letter in listed(server)] == [ids[0], ids[2]]
    assert '"letters":2' in dlq(server, "stats", "--json").replace(" ", "")


def test_dead_letters_that_are_replayed_are_delivered(aws, httpd):
    server, bad = poisoned(aws, httpd, 2)
    wait_until(lambda: len(listed(server)) == 2, "two dead letters")
    aws.remove_fault("poison")
    dlq(server, "replay", "--all")
    ledger.wait_ids(aws, bad)
    wait_until(lambda: not listed(server), "no dead letter")
