"""make bench: what the module costs beside an empty handler in the same httpd, as ratios in one run.

Loopback only; takes about eight minutes. Prints one table a MPM and writes everything as JSON
(t/bench.json of the build, or --json). With --quick: fewer and shorter rounds, to see that it works.
"""
from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict

from measure import (BATCH, BUILD, HERE, DRAIN_SECONDS, Load, Measured, Receiver, Shape, child_kib, post, run,
                     serving, sync_us, wait_until)

DURABILITIES = ("memory", "process", "disk")
BULK = 100
BACKLOG = 1_000_000
# Section 9: what is to be reached of the empty handler's requests a second.
TARGETS = {"memory": 0.88, "process": 0.82, "disk": 0.72, "windows": 0.62}
COLUMNS = ("what", "posts/s", "ratio", "target", "p50 ms", "p99 ms", "CPU us/batch", "records/call", "child MiB",
           "delivered", "lost", "twice")


def variants(mpm: str) -> dict[str, tuple[Shape, dict]]:
    found = {"empty": (Shape(mpm=mpm), {})}
    for durability in DURABILITIES:
        found[durability] = (Shape(mpm=mpm, durability=durability), {})
    found["windows"] = (Shape(mpm=mpm, durability="disk", window="600s"), {"devices": 20000})
    found["bulk"] = (Shape(mpm=mpm, durability="disk"), {"batches": BULK})
    return found


def rounds(mpm: str, count: int, seconds: int, receiver: Receiver) -> dict[str, list[Measured]]:
    """Every variant in turn, so that what the machine does meanwhile hits all alike."""
    results: dict[str, list[Measured]] = {}
    for number in range(count):
        for name, (shape, more) in variants(mpm).items():
            if mpm == "prefork":
                shape.children, shape.threads = 1, 80
            measured = run(shape, Load(seconds=seconds, **more), receiver)
            results.setdefault(name, []).append(measured)
            print(f"  {mpm} {number + 1}/{count} {name}: {measured.posts_a_second:,.0f} posts/s, "
                  f"{measured.cpu_us:.1f} us/batch", file=sys.stderr)
    return results


def middle(runs: list[Measured], member: str) -> float:
    return statistics.median(getattr(m, member) for m in runs)


def ratio(results: dict[str, list[Measured]], name: str) -> float:
    """Median of the rounds' own ratios."""
    return statistics.median(ours.posts_a_second / empty.posts_a_second
                             for ours, empty in zip(results[name], results["empty"]))


def table_rows(results: dict[str, list[Measured]]) -> list[list[str]]:
    rows = []
    for name, runs in results.items():
        counted = name not in ("empty", "windows")
        lost = sum(m.accepted - m.delivered for m in runs)
        rows.append([
            name if name != "bulk" else f"bulk of {BULK}, disk", f"{middle(runs, 'posts_a_second'):,.0f}",
            f"{ratio(results, name):.2f}" if name in TARGETS else "", f"{TARGETS[name]:.2f}" if name in TARGETS else "",
            f"{middle(runs, 'p50_us') / 1e3:.2f}", f"{middle(runs, 'p99_us') / 1e3:.2f}",
            f"{middle(runs, 'cpu_us'):.1f}", f"{middle(runs, 'records_a_call'):.0f}" if counted else "",
            f"{middle(runs, 'child_kib') / 1024:.1f}", f"{sum(m.delivered for m in runs):,}" if counted else "",
            str(lost) if counted else "", str(sum(m.repeated for m in runs)) if counted else ""])
    return rows


def print_table(title: str, columns: tuple[str, ...], rows: list[list[str]]) -> None:
    widths = [max(len(line[i]) for line in [list(columns), *rows]) for i in range(len(columns))]
    print(f"\n{title}")
    for line in [list(columns), *rows]:
        print("  ".join(text.ljust(w) if i == 0 else text.rjust(w) for i, (text, w) in enumerate(zip(line, widths))))


def backlog(mpm: str, records: int, receiver: Receiver) -> dict:
    """Memory of a child that cannot deliver while so many records are accepted."""
    with serving(Shape(mpm=mpm, durability="process", children=1), receiver) as server:
        receiver.get("/refuse?1")
        try:
            post(server, Load(seconds=1, most_posts=100))
            idle = child_kib(server)
            posted, began = 0, time.monotonic()
            while posted < records and time.monotonic() - began < DRAIN_SECONDS:
                told = post(server, Load(seconds=30, batches=BULK, most_posts=(records - posted) // BULK + 1),
                            first_number=1_000_000 + posted)
                posted += told["accepted"] * BULK
                if told["accepted"] == 0:
                    break
            return {"records": posted, "idle_kib": idle, "child_kib": child_kib(server)}
        finally:
            receiver.get("/refuse?0")


def rewriting() -> dict:
    done = subprocess.run([str(BUILD / "t/bench/rewrite"), str(BATCH)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def check_tools() -> None:
    if not shutil.which("wrk"):
        sys.exit("wrk is missing (Debian: apt-get install wrk)")


def judge(mpm: str, results: dict[str, list[Measured]], sync: float, memory: dict | None) -> list[list[str]]:
    """Section 9's other lines."""
    p99 = middle(results["disk"], "p99_us")
    allowed = 3 * middle(results["empty"], "p99_us") + sync
    bulk = middle(results["bulk"], "cpu_us") / middle(results["disk"], "cpu_us")
    rows = [[f"{mpm}: p99 of the answer, disk", f"{p99 / 1e3:.2f} ms", f"{allowed / 1e3:.2f} ms", yes(p99 <= allowed)],
            [f"{mpm}: CPU a batch, bulk of {BULK} to single", f"{bulk:.2f}", "0.25", yes(bulk <= 0.25)],
            [f"{mpm}: records a call under load, bulk", f"{middle(results['bulk'], 'records_a_call'):.0f}", "400",
             yes(middle(results["bulk"], "records_a_call") >= 400)],
            [f"{mpm}: records a call under load, single posts", f"{middle(results['disk'], 'records_a_call'):.0f}",
             "400", yes(middle(results["disk"], "records_a_call") >= 400)]]
    if memory:
        more = (memory["child_kib"] - memory["idle_kib"]) / 1024
        rows.append([f"{mpm}: child with {memory['records']:,} waiting, over idle", f"{more:.1f} MiB", "64 MiB",
                     yes(more <= 64)])
    return rows


def yes(good: bool) -> str:
    return "reached" if good else "NOT reached"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--mpm", action="append", help="only this (several times: these)")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=int)
    parser.add_argument("--json", default=str(BUILD / "t" / "bench.json"))
    options = parser.parse_args()
    check_tools()
    count = options.rounds or (1 if options.quick else 3)
    seconds = options.seconds or (1 if options.quick else 4)
    found = {"machine": f"{os.cpu_count()} x {cpu_name()}, {platform.release()}", "date": time.strftime("%Y-%m-%d"),
             "sync_us": sync_us(tempfile.gettempdir()), "rewrite": rewriting(), "mpm": {}}
    receiver = Receiver()
    lines = []
    try:
        for mpm in options.mpm or ("event", "worker", "prefork"):
            results = rounds(mpm, 1 if mpm == "prefork" else count, seconds, receiver)
            memory = None
            if mpm != "prefork":
                memory = backlog(mpm, BACKLOG // (20 if options.quick else 1), receiver)
            found["mpm"][mpm] = {"runs": {name: [asdict(m) for m in runs] for name, runs in results.items()},
                                 "backlog": memory}
            print_table(f"{mpm} MPM, {os.path.getsize(BATCH)} byte batches of 3 events, 64 connections",
                        COLUMNS, table_rows(results))
            lines += judge(mpm, results, found["sync_us"], memory)
    finally:
        receiver.close()
    ours, theirs = found["rewrite"]["ours_ns"] / 1e3, found["rewrite"]["jansson_ns"] / 1e3
    lines.append(["scan, filter and rewrite", f"{ours:.2f} us", "3 us", yes(ours <= 3)])
    lines.append(["jansson's parse and dump to that", f"{theirs / ours:.1f}", "15", yes(theirs / ours >= 15)])
    print_table(f"also ({found['machine']}; one sync {found['sync_us'] / 1e3:.2f} ms)",
                ("what", "is", "target", ""), lines)
    with open(options.json, "w", encoding="utf-8") as file:
        json.dump(found, file, indent=1)
    print(f"\nAll numbers: {options.json}")


def cpu_name() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        return next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "?")


if __name__ == "__main__":
    main()
