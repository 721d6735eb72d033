"""make bench: what the module costs beside an empty handler in the same httpd, as ratios in one run.

Loopback only; a run takes about eight minutes. With --runs, several of them, one after the other. Prints tables in
Markdown, of the medians over the runs, and writes everything of every run as JSON (t/bench.json of the build, or
--json; --record copies it to docs/performance). With --quick: fewer and shorter rounds, to see that it works.

With --scrape, instead: what it costs that the Prometheus page is fetched each second, with 50 connections configured.
One server takes the same load with and without it, in turns, and a page's processor time is measured by itself.
"""
from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict
from pathlib import Path

from curves import markdown
from measure import (BATCH, BUILD, HERE, DRAIN_SECONDS, Httpd, Load, Measured, Receiver, Shape, child_kib, cpu_seconds,
                     end_tidily, is_quiet, machine, post, run, serving, sync_us, wait_until)

RECORDED = HERE.parents[1] / "docs" / "performance"

DURABILITIES = ("memory", "process", "disk")
BULK = 100
BACKLOG = 1_000_000
REWRITES = 5
# Section 9: what is to be reached of the empty handler's requests a second.
TARGETED = ("event", "worker")   # prefork is reported
TARGETS = {"memory": 0.88, "process": 0.82, "disk": 0.72, "windows": 0.62}
PAGE = "/status?format=prometheus"
PAGES = 200
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


def middle(runs: list[dict], member: str) -> float:
    return statistics.median(m[member] for m in runs)


def ratio(results: dict[str, list[dict]], name: str) -> float:
    """Median of the rounds' own ratios."""
    return statistics.median(ours["posts_a_second"] / empty["posts_a_second"]
                             for ours, empty in zip(results[name], results["empty"]))


def together(of_runs: list[dict]) -> dict[str, list[dict]]:
    """The rounds of all runs of an MPM, by variant."""
    return {name: [m for one in of_runs for m in one["rounds"][name]] for name in of_runs[0]["rounds"]}


def table_rows(results: dict[str, list[dict]], is_targeted: bool) -> list[list[str]]:
    rows = []
    for name, runs in results.items():
        counted = name not in ("empty", "windows")
        lost = sum(m["accepted"] - m["delivered"] for m in runs)
        rows.append([
            name if name != "bulk" else f"bulk of {BULK}, disk", f"{middle(runs, 'posts_a_second'):,.0f}",
            f"{ratio(results, name):.2f}" if name in TARGETS else "",
            f"{TARGETS[name]:.2f}" if name in TARGETS and is_targeted else "",
            f"{middle(runs, 'p50_us') / 1e3:.2f}", f"{middle(runs, 'p99_us') / 1e3:.2f}",
            f"{middle(runs, 'cpu_us'):.1f}", f"{middle(runs, 'records_a_call'):.0f}" if counted else "",
            f"{middle(runs, 'child_kib') / 1024:.1f}", f"{sum(m['delivered'] for m in runs):,}" if counted else "",
            str(lost) if counted else "", str(sum(m["repeated"] for m in runs)) if counted else ""])
    return rows


def print_table(title: str, columns: tuple[str, ...], rows: list[list[str]]) -> None:
    print(f"\n{title}\n\n{markdown([list(columns), *rows])}")


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
    """The middle one of several: a run takes less time than others on the machine may hold it up."""
    done = [json.loads(subprocess.run([str(BUILD / "t/bench/rewrite"), str(BATCH)], capture_output=True, text=True,
                                      check=True).stdout) for _ in range(REWRITES)]
    return sorted(done, key=lambda one: one["ours_ns"])[REWRITES // 2]


def check_tools() -> None:
    if not shutil.which("wrk"):
        sys.exit("wrk is missing (Debian: apt-get install wrk)")


def judge(mpm: str, results: dict[str, list[dict]], sync: float, memory: list[dict]) -> list[list[str]]:
    """Section 9's other lines, of all runs."""
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
        more = statistics.median(m["child_kib"] - m["idle_kib"] for m in memory) / 1024
        rows.append([f"{mpm}: child with {memory[0]['records']:,} waiting, over idle", f"{more:.1f} MiB", "64 MiB",
                     yes(more <= 64)])
    return rows


def yes(good: bool) -> str:
    return "reached" if good else "NOT reached"


def also(runs: list[dict]) -> list[list[str]]:
    """What a table of an MPM has no place for: is, target, whether it is reached."""
    sync = statistics.median(one["sync_us"] for one in runs)
    rows = []
    for mpm in filter(TARGETED.__contains__, runs[0]["mpm"]):
        of_runs = [one["mpm"][mpm] for one in runs]
        rows += judge(mpm, together(of_runs), sync, [one["backlog"] for one in of_runs if one["backlog"]])
    ours = statistics.median(one["rewrite"]["ours_ns"] for one in runs) / 1e3
    times = statistics.median(one["rewrite"]["jansson_ns"] / one["rewrite"]["ours_ns"] for one in runs)
    rows.append(["scan, filter and rewrite", f"{ours:.2f} us", "3 us", yes(ours <= 3)])
    rows.append(["jansson's parse and dump to that", f"{times:.1f}", "15", yes(times >= 15)])
    rows.append(["one sync of 64 batches, median", f"{sync / 1e3:.2f} ms", "", ""])
    return rows


def tables(found: dict) -> dict[str, list[list[str]]]:
    """Of what main wrote as JSON: title and rows, head first; medians over all rounds of all runs."""
    runs = found["runs"]
    made = {f"{mpm} MPM": [list(COLUMNS), *table_rows(together([one["mpm"][mpm] for one in runs]), mpm in TARGETED)]
            for mpm in runs[0]["mpm"]}
    made["Also"] = [["what", "is", "target", ""], *also(runs)]
    return made


def one_run(options: argparse.Namespace, receiver: Receiver) -> dict:
    count = options.rounds or (1 if options.quick else 3)
    seconds = options.seconds or (1 if options.quick else 4)
    found = {"sync_us": sync_us(tempfile.gettempdir()), "rewrite": rewriting(), "mpm": {}}
    for mpm in options.mpm or ("event", "worker", "prefork"):
        results = rounds(mpm, 1 if mpm == "prefork" else count, seconds, receiver)
        memory = None
        if mpm != "prefork":
            memory = backlog(mpm, BACKLOG // (20 if options.quick else 1), receiver)
        found["mpm"][mpm] = {"rounds": {name: [asdict(m) for m in runs] for name, runs in results.items()},
                             "backlog": memory}
    return found


# ---- the cost of being watched

class Scraper:
    """Fetches the Prometheus page each second, as long as it is entered."""

    def __init__(self, server: Httpd) -> None:
        self._server = server
        self.fetched = 0

    def fetch(self) -> int:
        answer = self._server.request("GET", PAGE)
        assert answer.status == 200, answer.status
        self.fetched += 1
        return len(answer.body)

    def __enter__(self) -> Scraper:
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            due = time.monotonic() + 1
            self.fetch()
            if self._ending.wait(max(0.0, due - time.monotonic())):
                return


def page_cost(server: Httpd) -> dict:
    """Processor time of one page, of many in a row, beside what an idle server uses."""
    scraper = Scraper(server)
    wait_until(lambda: is_quiet(server), "the server to be quiet", DRAIN_SECONDS)
    begun, before = time.monotonic(), cpu_seconds(server)
    sizes = [scraper.fetch() for _ in range(PAGES)]
    took, used = time.monotonic() - begun, cpu_seconds(server) - before
    return {"pages": PAGES, "bytes": statistics.median(sizes), "page_us": took / PAGES * 1e6,
            "cpu_us": used / PAGES * 1e6}


def scrape(options: argparse.Namespace, receiver: Receiver) -> dict:
    seconds = options.seconds or (1 if options.quick else 5)
    pairs = []
    with serving(Shape(durability="disk", idle=49), receiver) as server:
        number = post(server, Load(seconds=2))["requests"] + 1
        cost = page_cost(server)
        for turn in range(options.rounds or (2 if options.quick else 12)):
            pair = {}
            for is_watched in ((True, False) if turn % 2 else (False, True)):
                before = cpu_seconds(server)
                if is_watched:
                    with Scraper(server):
                        told = post(server, Load(seconds=seconds), number)
                else:
                    told = post(server, Load(seconds=seconds), number)
                number += told["requests"] + 1
                wait_until(lambda: is_quiet(server), "the server to be quiet", DRAIN_SECONDS)
                pair["watched" if is_watched else "alone"] = {
                    **told, "cpu_us": (cpu_seconds(server) - before) * 1e6 / max(told["accepted"], 1)}
            pairs.append(pair)
            print(f"  {turn + 1}: {rate(pair['watched']):,.0f} posts/s watched, {rate(pair['alone']):,.0f} alone",
                  file=sys.stderr)
    return {"connections": 50, "page": cost, "pairs": pairs}


def rate(told: dict) -> float:
    return told["accepted"] / told["seconds"]


def scrape_rows(found: dict) -> list[list[str]]:
    pairs, page = found["pairs"], found["page"]
    parts = statistics.quantiles([rate(p["watched"]) / rate(p["alone"]) for p in pairs], n=4)
    cpu = statistics.median(p["watched"]["cpu_us"] / p["alone"]["cpu_us"] for p in pairs)
    share = page["cpu_us"] / 1e6 / (os.cpu_count() or 1)
    return [["what", "is", "target", ""],
            [f"posts/s, watched to alone ({len(pairs)} pairs, median)", f"{parts[1]:.3f}", "0.99", yes(parts[1] >= 0.99)],
            ["the middle half of the pairs", f"{parts[0]:.3f} to {parts[2]:.3f}", "", ""],
            ["CPU a batch, watched to alone", f"{cpu:.3f}", "", ""],
            [f"CPU of one page of {page['bytes'] / 1024:.0f} KiB", f"{page['cpu_us'] / 1e3:.2f} ms", "", ""],
            ["one page a second, of this machine's processors", f"{share:.2%}", "1 %", yes(share <= 0.01)]]


def write(found: dict, options: argparse.Namespace, name: str) -> None:
    path = Path(options.json or BUILD / "t" / name)
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if options.record:
        shutil.copy(path, RECORDED / name)
    print(f"\nAll numbers: {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--runs", type=int, default=1, help="of everything, one after the other")
    parser.add_argument("--scrape", action="store_true", help="only what fetching the Prometheus page costs")
    parser.add_argument("--mpm", action="append", help="only this (several times: these)")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=int)
    parser.add_argument("--json", help="where all numbers go")
    parser.add_argument("--record", action="store_true", help="copy them to docs/performance")
    options = parser.parse_args()
    end_tidily()
    check_tools()
    receiver = Receiver()
    found = machine()
    try:
        if options.scrape:
            found.update(scrape(options, receiver))
            print_table("The Prometheus page each second", *split(scrape_rows(found)))
            write(found, options, "scrape.json")
            return
        found["batch_bytes"] = os.path.getsize(BATCH)
        found["runs"] = []
        for number in range(options.runs):
            print(f"run {number + 1} of {options.runs}", file=sys.stderr)
            found["runs"].append(one_run(options, receiver))
            write(found, options, "bench.json")
    finally:
        receiver.close()
    print(f"\n{found['machine']}, {found['date']}; {found['batch_bytes']} byte batches of 3 events, 64 connections; "
          f"medians of {options.runs} run(s)")
    for title, rows in tables(found).items():
        print_table(title, *split(rows))


def split(rows: list[list[str]]) -> tuple[tuple[str, ...], list[list[str]]]:
    return tuple(rows[0]), rows[1:]


if __name__ == "__main__":
    main()
