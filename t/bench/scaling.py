"""make bench-scaling: how throughput and processor time go with one number at a time, everything else as in the bench.

Each curve takes two to three minutes: rounds over all of its points are begun until --limit is over, at least one. The
empty handler is measured in each round, with the same load and children, and a point is the median of its rounds. The
backlog and the windows take as long as it takes to make the largest of them (--most-backlog, --most-windows).

How a backlog is made: t/bench/preload writes the records into the stopped server's journal with the journal's own code,
as a child that died would have left them, a frame each; the next start takes them over. How windows are opened: by posts
of a hundred batches, each of a device of its own. Raw runs as JSON and curves as SVG land in t/scaling of the build; --record
copies the JSON to docs/performance, where make performance-page makes the page of it.
"""
from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Callable, Iterator

from curves import CURVES, draw_all, markdown, table
from measure import (BATCH, BUILD, HERE, Httpd, Load, Receiver, Shape, child_kib, cpu_seconds, end_tidily, is_quiet,
                     machine, made_batch, post, run, serving, start, wait_until)
from windows_index import Index

RECORDED = HERE.parents[1] / "docs" / "performance"
SENDERS = (1, 8, 64, 512)
CHILDREN = (1, 2, 4, 8)
# A child may get all senders: where one has fewer threads httpd closes kept-alive connections, and posts are lost.
THREADS = 80
CONNECTIONS = (1, 2, 5, 20, 50)
ELSEWHERE = (1, 10, 50)
BATCH_BYTES = (300, 1300, 5000, 20_000, 50_000, 200_000)
BACKLOGS = (0, 10_000, 100_000, 1_000_000, 10_000_000)
WINDOWS = (0, 1000, 10_000, 100_000, 1_000_000)
BULK = 100
# Shares no factor with a number of windows that is a power of ten.
STRIDE = 7919
NEW_DEVICES = 10**9
# Long beyond any run: none of the windows comes due.
WINDOW = "7200s"
PATIENCE = 900
READBACK_SECONDS = 20
# So that AWS's return is noticed at once.
BACKOFF = "KinesisRetryBackoff 50ms 1s"

Plan = list[tuple[float, str, Shape, Load, dict]]


def told(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


# ---- curves of ordinary runs: x, series, our shape, the load, and what the run is told by beside its numbers

def senders(options: argparse.Namespace, _: str) -> Plan:
    return [(n, "", Shape(threads=max(THREADS, n * 5 // 4), durability=options.durability), Load(clients=n), {})
            for n in SENDERS]


def children(options: argparse.Namespace, _: str) -> Plan:
    return [(n, "", Shape(children=n, threads=THREADS, durability=options.durability), Load(), {})
            for n in CHILDREN]


def connections(options: argparse.Namespace, _: str) -> Plan:
    ours = Shape(durability=options.durability)
    return [(n, "fan-out", replace(ours, connections=n), Load(), {}) for n in CONNECTIONS] + \
        [(n, "elsewhere", replace(ours, idle=n - 1), Load(), {}) for n in ELSEWHERE]


def batch_size(options: argparse.Namespace, folder: str) -> Plan:
    plan = []
    for size in BATCH_BYTES:
        path = made_batch(folder, size)
        done = subprocess.run([str(BUILD / "t/bench/rewrite"), str(path)], capture_output=True, text=True, check=True)
        known = {"bytes": path.stat().st_size - 1, "rewrite": json.loads(done.stdout)}
        plan.append((known["bytes"], "", Shape(durability=options.durability), Load(batch=path), known))
    return plan


PLANS: dict[str, Callable[[argparse.Namespace, str], Plan]] = {
    "senders": senders, "children": children, "connections": connections, "batch-size": batch_size}


def ordinary(plan: Plan, options: argparse.Namespace, receiver: Receiver) -> Iterator[dict]:
    begun = time.monotonic()
    for number in range(options.rounds):
        if number > 0 and time.monotonic() - begun > options.limit:
            return
        for x, series, shape, load, known in plan:
            load = replace(load, seconds=options.seconds)
            empty = asdict(run(Shape(mpm=shape.mpm, children=shape.children, threads=shape.threads), load, receiver))
            ours = asdict(run(shape, load, receiver))
            told(f"round {number + 1}, {series or 'at'} {x:,}: {ours['posts_a_second']:,.0f} posts/s of "
                 f"{empty['posts_a_second']:,.0f}, {ours['cpu_us']:.0f} us/batch")
            yield {"x": x, "series": series, "round": number, "ours": ours, "empty": empty, **known}


# ---- the backlog

def waiting(server: Httpd) -> int:
    """Records accepted and not done, as the status page tells."""
    text = server.request("GET", "/status?format=prometheus").body.decode()
    return sum(int(float(n)) for n in re.findall(r"^kinesis_forward_backlog_records\{[^}]*\} (\S+)", text, re.M))


def preload(server: Httpd, shape: Shape, records: int, batch: Path) -> float:
    """Leaves records in its store, with the server stopped meanwhile; seconds it took."""
    journal = server.root / "store" / "journal"
    server.stop()
    begun = time.monotonic()
    subprocess.run([str(BUILD / "t/bench/preload"), str(journal), "bench0", str(batch), str(records), "0"],
                   check=True, stdout=subprocess.DEVNULL)
    owner = journal.stat()
    for path in journal.iterdir():
        os.chown(path, owner.st_uid, owner.st_gid)
    took = time.monotonic() - begun
    start(server, shape)
    return took


def timed_post(server: Httpd, load: Load, first_number: int) -> dict:
    """A load, with the processor time that it took until all is quiet again, as a run has it."""
    before = cpu_seconds(server)
    answer = post(server, load, first_number)
    wait_until(lambda: is_quiet(server), "the server to be quiet", PATIENCE)
    accepted = answer["accepted"] * load.batches
    return {"posts_a_second": answer["requests"] / answer["seconds"], "p50_us": answer["p50_us"],
            "p99_us": answer["p99_us"], "accepted": accepted, "refused": answer["refused"],
            "errors": answer["errors"] + answer["unanswered"],
            "cpu_us": (cpu_seconds(server) - before) * 1e6 / max(accepted, 1)}


def accept_beside_aws_away(server: Httpd, load: Load, first_number: int) -> dict:
    """As timed_post, for a server that goes on trying: its processor time ends with the load."""
    before = cpu_seconds(server)
    answer = post(server, load, first_number)
    used = cpu_seconds(server) - before
    return {"posts_a_second": answer["requests"] / answer["seconds"], "p50_us": answer["p50_us"],
            "p99_us": answer["p99_us"], "accepted": answer["accepted"], "refused": answer["refused"],
            "errors": answer["errors"] + answer["unanswered"], "cpu_us": used * 1e6 / max(answer["accepted"], 1)}


def read_back(server: Httpd, receiver: Receiver, seconds: float, records: int) -> dict:
    """How fast what waits is delivered once AWS takes it, from the first record on."""
    receiver.get("/refuse?0")
    wait_until(lambda: receiver.get("/report")["records"] > 0, "the first record", PATIENCE)
    first, begun, cpu = receiver.get("/report")["records"], time.monotonic(), cpu_seconds(server)
    arrived, memory = first, 0
    while arrived < records and time.monotonic() - begun < seconds:
        time.sleep(0.05)
        arrived = receiver.get("/report")["records"]
        memory = max(memory, child_kib(server)) if time.monotonic() - begun > 1 or not memory else memory
    took, used = time.monotonic() - begun, cpu_seconds(server) - cpu
    report = receiver.get("/report")
    return {"readback_records": arrived - first, "readback_seconds": took, "readback_kib": memory,
            "readback_a_second": (arrived - first) / took, "readback_cpu_us": used * 1e6 / max(arrived - first, 1),
            "repeated": report["repeated"], "records_a_call": report["records"] / max(report["calls"], 1)}


def backlog_point(records: int, batch: Path, options: argparse.Namespace, receiver: Receiver) -> dict:
    shape = Shape(durability=options.durability, children=options.backlog_children, store="64G", lines=BACKOFF)
    load = Load(seconds=options.seconds)
    with serving(Shape(children=shape.children), receiver) as server:
        post(server, Load(seconds=1))
        empty = timed_post(server, load, 0)
    try:
        with serving(shape, receiver) as server:
            receiver.get("/refuse?1")
            took = preload(server, shape, records, batch) if records else 0.0
            wait_until(lambda: waiting(server) == records, f"{records} records to be taken over", PATIENCE)
            os.sync()   # else the kernel would be writing the backlog to the disk while the load is measured
            warm = accept_beside_aws_away(server, Load(seconds=1), records)
            ours = accept_beside_aws_away(server, load, records + warm["accepted"] + 1000)
            ours.update(preload_seconds=took, backlog_kib=child_kib(server))
            stored = records + warm["accepted"] + ours["accepted"]
            ours.update(read_back(server, receiver, options.readback_seconds, stored))
    finally:
        receiver.get("/refuse?0")
    told(f"backlog of {records:,}: {ours['posts_a_second']:,.0f} posts/s of {empty['posts_a_second']:,.0f}, "
         f"{ours['readback_a_second']:,.0f} records/s read back, child {ours['backlog_kib'] / 1024:.0f} MiB")
    return {"x": records, "series": "", "ours": ours, "empty": empty}


def backlog(options: argparse.Namespace, receiver: Receiver) -> Iterator[dict]:
    with tempfile.TemporaryDirectory(prefix="kf-bench-") as folder:
        batch = made_batch(folder, options.backlog_bytes) if options.backlog_bytes else BATCH
        for records in (n for n in BACKLOGS if options.least_backlog <= n <= options.most_backlog):
            yield backlog_point(records, batch, options, receiver)


# ---- windows

def open_windows(server: Httpd, count: int) -> float:
    """So many, each of a device of its own; seconds until all are in the index."""
    begun = time.monotonic()
    if count:
        answer = post(server, Load(seconds=PATIENCE, clients=16, batches=BULK, devices=count, stride=1,
                                   most_posts=count // BULK))
        if answer["accepted"] * BULK != count:
            raise RuntimeError(f"{answer['accepted'] * BULK} of {count} batches were taken")
        wait_until(lambda: Index(server).counts()["open"] >= count, f"{count} windows", PATIENCE)
        wait_until(lambda: is_quiet(server), "filing to end", PATIENCE)
    return time.monotonic() - begun


def windows_point(count: int, options: argparse.Namespace, receiver: Receiver) -> Iterator[dict]:
    load = Load(seconds=options.seconds, devices=NEW_DEVICES, stride=1)
    with serving(Shape(), receiver) as server:
        post(server, Load(seconds=1))
        empty = timed_post(server, load, 0)
    with serving(Shape(durability=options.durability, window=WINDOW, store="64G"), receiver) as server:
        wait_until(Index(server).is_made, "the index")
        took = open_windows(server, count) if count else 0.0
        kinds = {"open": replace(load, devices=count, stride=STRIDE)} if count else {}
        kinds["new"] = load
        for place, (series, its_load) in enumerate(kinds.items()):
            ours = timed_post(server, its_load, (1 + place) * (count + 1_000_000))
            store = server.root / "store"
            ours.update(open_seconds=took, child_kib=child_kib(server), windows=Index(server).counts()["open"],
                        index_bytes=sum(path.stat().st_size for path in store.glob("index.db*")))
            told(f"{count:,} windows, {series}: {ours['posts_a_second']:,.0f} posts/s of "
                 f"{empty['posts_a_second']:,.0f}, {ours['cpu_us']:.0f} us/batch")
            yield {"x": count, "series": series, "ours": ours, "empty": empty}


def windows(options: argparse.Namespace, receiver: Receiver) -> Iterator[dict]:
    for count in (n for n in WINDOWS if options.least_windows <= n <= options.most_windows):
        yield from windows_point(count, options, receiver)


def stored(points: Callable[[argparse.Namespace, Receiver], Iterator[dict]], options: argparse.Namespace,
           receiver: Receiver) -> Iterator[dict]:
    """Rounds of them, as the ordinary curves have."""
    begun = time.monotonic()
    for number in range(options.rounds):
        if number > 0 and time.monotonic() - begun > options.limit:
            return
        for point in points(options, receiver):
            yield {**point, "round": number}


# ---- all of it

def measure(name: str, options: argparse.Namespace, receiver: Receiver) -> dict:
    told(f"{name}:")
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kf-bench-") as folder:
        if name in PLANS:
            runs = list(ordinary(PLANS[name](options, folder), options, receiver))
        else:
            runs = list(stored({"backlog": backlog, "windows": windows}[name], options, receiver))
    return {"curve": name, **machine(), "durability": f"durability {options.durability}", "seconds": options.seconds,
            "took_seconds": round(time.monotonic() - begun), "runs": runs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=list(CURVES), help="this curve (several times: these)")
    parser.add_argument("--durability", default="disk", choices=("disk", "process", "memory"))
    parser.add_argument("--seconds", type=int, default=3, help="of load, each time")
    parser.add_argument("--rounds", type=int, default=5, help="at most")
    parser.add_argument("--limit", type=float, default=110, help="seconds after which a curve begins no round")
    parser.add_argument("--most-backlog", type=int, default=1_000_000, help="up to 10000000, 13 GB of disk")
    parser.add_argument("--least-backlog", type=int, default=0)
    parser.add_argument("--backlog-bytes", type=int, default=0, help="of each record; else the bench's batch")
    parser.add_argument("--backlog-children", type=int, default=2, help="one takes over what the others don't have")
    parser.add_argument("--readback-seconds", type=float, default=READBACK_SECONDS)
    parser.add_argument("--most-windows", type=int, default=100_000, help="up to 1000000")
    parser.add_argument("--least-windows", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=BUILD / "t" / "scaling")
    parser.add_argument("--record", action="store_true", help="copy the JSON to docs/performance")
    options = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("wrk is missing (Debian: apt-get install wrk)")
    end_tidily()
    options.folder.mkdir(parents=True, exist_ok=True)
    receiver = Receiver()
    try:
        for name in options.only or CURVES:
            found = measure(name, options, receiver)
            path = options.folder / f"{name}.json"
            path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
            if options.record:
                shutil.copy(path, RECORDED)
            print(f"\n{CURVES[name].title} ({found['durability']}, {found['took_seconds']} s)\n")
            print(markdown(table(found)))
            print("\n".join(f"{path}" for path in [path, *draw_all(found, options.folder)]), flush=True)
    finally:
        receiver.close()


if __name__ == "__main__":
    main()
