"""Servers, load and the kernel's accounting for the bench: starts, drives, reads; judges nothing."""
from __future__ import annotations

import itertools
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterator

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
from httpd_server import HOST, KEY_ID, Httpd, Port, wait_until  # noqa: E402

BUILD = Path(os.environ.get("KF_BUILD_DIR") or HERE.parents[1])
BATCH = HERE / "batch.json"
ANSWER_MS = 10
CONNECTIONS = 64
TICK = os.sysconf("SC_CLK_TCK")
DRAIN_SECONDS = 120

# One template for both handlers. As many threads as the load has connections, and no child made or ended
# while it is measured; the rest is httpd's default.
MPM_LINES = {
    "event": """
        StartServers {children}
        ServerLimit {children}
        ThreadsPerChild {threads}
        ThreadLimit {threads}
        MaxRequestWorkers {all}
        MinSpareThreads 1
        MaxSpareThreads {all}""",
    "prefork": """
        StartServers {all}
        ServerLimit {all}
        MaxRequestWorkers {all}
        MinSpareServers 1
        MaxSpareServers {all}""",
}
MPM_LINES["worker"] = MPM_LINES["event"]

EMPTY_LINES = """
LoadModule bench_empty_module {module}
<Location "/v2/events">
    SetHandler bench-empty
</Location>
"""

OUR_LINES = """
KinesisRegion us-east-1
KinesisAccessKeyId {key}
KinesisSecretAccessKey file:@ROOT@/secret
KinesisEndpoint http://127.0.0.1:{receiver}
KinesisStoreLimit {store}
KinesisDurability {durability}
KinesisBatchWindow {window}
{connections}
<Location "/v2/events">
    SetHandler kinesis-forward
    KinesisForward {names}
    KinesisMaxBodySize 16M
</Location>
<Location "/status">
    SetHandler kinesis-forward-status
</Location>
"""


@dataclass
class Shape:
    """What is served how; the handler is the empty one where there is no durability."""
    durability: str | None = None
    window: str = "0"
    mpm: str = "event"
    children: int = 2
    threads: int = 80
    connections: int = 1   # fed by the location that is loaded
    idle: int = 0          # further ones, each fed by a location of its own, where nothing comes
    store: str = "16G"
    lines: str = ""        # before the connections, for ours only
    httpd_lines: str = ""  # for both handlers, with these modules
    modules: tuple[str, ...] = ()


@dataclass
class Load:
    seconds: int = 4
    clients: int = CONNECTIONS
    batches: int = 1
    devices: int = 0
    stride: int = 0        # as load.lua says
    most_posts: int = 0
    batch: Path = BATCH


@dataclass
class Measured:
    """One run of one load against one server."""
    posts_a_second: float
    batches_a_second: float
    p50_us: int
    p99_us: int
    cpu_us: float          # of httpd's processes, a batch, until all is delivered
    records_a_call: float
    child_kib: int         # the largest child, in the end
    accepted: int          # batches
    delivered: int         # numbers of batches that arrived, each counted once
    repeated: int
    behind: int            # batches that waited when the load ended
    refused: int
    errors: int
    drain_seconds: float
    calls_of_400: float = 0.0   # part of the calls that had so many records
    extra: dict = field(default_factory=dict)


def end_tidily() -> None:
    """Has a bench that is told to end stop what it started, also in the background of a shell."""
    def end(*_: object) -> None:
        raise KeyboardInterrupt
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)


class Receiver:
    """The process in AWS's place."""

    def __init__(self, answer_ms: float = ANSWER_MS) -> None:
        self._port = Port()
        self.port = self._port.number
        self.process = subprocess.Popen([str(BUILD / "t/bench/receiver"), str(self.port), str(answer_ms)],
                                        stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n", "the receiver did not start"

    def get(self, path: str) -> dict:
        with urllib.request.urlopen(f"http://{HOST}:{self.port}{path}", timeout=10) as answer:
            return json.loads(answer.read())

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()
        self._port.release()


def _section(name: str) -> str:
    return f"<KinesisConnection {name}>\n    KinesisStreamName {name}\n</KinesisConnection>\n"


def _connection_sections(count: int, idle: int) -> tuple[str, str]:
    names = [f"bench{i}" for i in range(count)]
    sections = [_section(name) for name in names]
    for name in (f"idle{i}" for i in range(idle)):
        sections.append(_section(name) + f'<Location "/{name}">\n    SetHandler kinesis-forward\n'
                                         f'    KinesisForward {name}\n</Location>\n')
    return "".join(sections), " ".join(names)


def _lines(shape: Shape, receiver: Receiver) -> str:
    if shape.durability is None:
        return shape.httpd_lines + EMPTY_LINES.format(module=BUILD / "t/bench/.libs/mod_bench_empty.so")
    sections, names = _connection_sections(shape.connections, shape.idle)
    return shape.httpd_lines + OUR_LINES.format(
        key=KEY_ID, receiver=receiver.port, durability=shape.durability, window=shape.window, names=names,
        connections=shape.lines + "\n" + sections, store=shape.store)


def start(server: Httpd, shape: Shape) -> None:
    """Starts it; returns once its children are there."""
    # The level hides what the start is told by elsewhere: that the port answers is enough.
    looks = itertools.count()
    server._resumed = lambda: next(looks)
    server.start()
    wanted = 1 if shape.mpm == "prefork" else shape.children
    wait_until(lambda: len(server.children()) >= wanted, "the children")


@contextmanager
def serving(shape: Shape, receiver: Receiver) -> Iterator[Httpd]:
    """A server of this shape; the receiver's counts begin anew."""
    numbers = {"children": shape.children, "threads": shape.threads, "all": shape.children * shape.threads}
    receiver.get("/reset")
    server = Httpd(_lines(shape, receiver), mpm=shape.mpm, mpm_lines=MPM_LINES[shape.mpm].format(**numbers),
                   log_level="warn", with_module=shape.durability is not None, modules=shape.modules,
                   prefix="kf-bench-")
    try:
        start(server, shape)
        yield server
        server.stop()
    finally:
        server.close()


def cpu_seconds(server: Httpd) -> float:
    """CPU that the server's processes have used, ended children included."""
    ticks = 0
    for pid in server.processes():
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(map(int, fields[11:13]))
        if pid == server.process.pid:
            ticks += sum(map(int, fields[13:15]))
    return ticks / TICK


def child_kib(server: Httpd) -> int:
    """Proportional memory of the largest child."""
    largest = 0
    for pid in server.children():
        try:
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
                pss = next(line for line in file if line.startswith("Pss:"))
        except (OSError, StopIteration):
            continue
        largest = max(largest, int(pss.split()[1]))
    return largest


def post(server: Httpd, load: Load, first_number: int = 0) -> dict:
    """Runs wrk; what its script printed."""
    command = ["wrk", "-t1", f"-c{load.clients}", f"-d{load.seconds + 20}s", "--timeout", "20s", "-s",
               str(HERE / "load.lua"), f"http://{HOST}:{server.port}/v2/events", "--", str(load.batch),
               str(load.batches), str(first_number), str(load.most_posts), str(load.devices), str(load.seconds),
               str(load.stride)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        if line.startswith("JSON "):
            return json.loads(line[5:])
    raise RuntimeError(f"wrk failed: {done.stdout}{done.stderr}")


def is_quiet(server: Httpd) -> bool:
    """Whether its processes use next to no CPU."""
    before = cpu_seconds(server)
    time.sleep(0.3)
    return cpu_seconds(server) - before <= 0.03


def run(shape: Shape, load: Load, receiver: Receiver, warm_seconds: int = 1) -> Measured:
    """Starts a server, warms it up, loads it, waits until all is delivered (or filed into windows)."""
    with serving(shape, receiver) as server:
        warm = post(server, Load(seconds=warm_seconds, clients=load.clients, batches=load.batches,
                                 devices=load.devices, stride=load.stride, batch=load.batch))
        counted = shape.durability is not None and shape.window == "0"
        before_records = warm["accepted"] * load.batches * shape.connections
        if counted:
            _drain(receiver, before_records)
        started = cpu_seconds(server)
        begun = receiver.get("/report")
        told = post(server, load, first_number=warm["requests"] * load.batches)
        accepted = told["accepted"] * load.batches
        at_end = receiver.get("/report")
        since = time.monotonic()
        if counted:
            _drain(receiver, before_records + accepted * shape.connections)
        elif shape.durability is not None:
            wait_until(lambda: is_quiet(server), "filing to end", DRAIN_SECONDS)
        drained = time.monotonic() - since
        cpu = cpu_seconds(server) - started
        end = receiver.get("/report")
        calls = end["calls"] - begun["calls"]
        return Measured(
            posts_a_second=told["requests"] / told["seconds"],
            batches_a_second=accepted / told["seconds"],
            p50_us=told["p50_us"], p99_us=told["p99_us"], cpu_us=cpu * 1e6 / max(accepted, 1),
            records_a_call=(end["records"] - begun["records"]) / calls if calls else 0,
            calls_of_400=(end["calls_of_400"] - begun["calls_of_400"]) / calls if calls else 0,
            child_kib=child_kib(server), accepted=accepted,
            delivered=end["unique"] - begun["unique"] if shape.connections == 1 else 0,
            repeated=end["repeated"] if shape.connections == 1 else 0,
            behind=accepted - (at_end["records"] - begun["records"]) // shape.connections if counted else 0,
            refused=told["refused"], errors=told["errors"] + told["unanswered"], drain_seconds=drained,
            extra={"records": end["records"] - begun["records"], "record_bytes": end["bytes"] - begun["bytes"]})


def made_batch(folder: str | Path, size: int) -> Path:
    """The bench's batch with more events, or only one, so that it has about so many bytes."""
    whole = json.loads(BATCH.read_text(encoding="utf-8"))
    if size < BATCH.stat().st_size:
        whole = {name: whole[name] for name in ("source_request_id", "mpid", "mp_deviceid", "events")}
        whole["events"] = whole["events"][1:2]
    events = whole["events"]
    text = json.dumps(whole, separators=(",", ":"))
    more = json.dumps(events, separators=(",", ":"))[1:-1]
    for _ in range((size - len(text)) // (len(more) + 1)):
        text = text[:-2] + "," + more + "]}"
    path = Path(folder) / f"batch-{size}.json"
    path.write_text(text + "\n", encoding="utf-8")
    return path


def cpu_name() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        return next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "?")


def machine() -> dict[str, str]:
    """Where and when: stands beside all numbers."""
    return {"machine": f"{os.cpu_count()} x {cpu_name()}, {platform.release()}", "date": time.strftime("%Y-%m-%d")}


def _drain(receiver: Receiver, records: int) -> None:
    wait_until(lambda: receiver.get("/report")["records"] >= records, f"{records} records", DRAIN_SECONDS)


def sync_us(folder: str) -> float:
    """Median of a synced append of 64 batches, what a shared sync of the load is about."""
    path = os.path.join(folder, f"kf-bench-sync-{os.getpid()}")
    fd = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    times = []
    try:
        os.posix_fallocate(fd, 0, 32 << 20)
        os.fsync(fd)
        for _ in range(100):
            os.write(fd, b"x" * 64 * 1300)
            begun = time.perf_counter()
            os.fdatasync(fd)
            times.append((time.perf_counter() - begun) * 1e6)
    finally:
        os.close(fd)
        os.unlink(path)
    return statistics.median(times)
