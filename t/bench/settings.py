"""make bench-settings: what httpd's own settings cost or save, each beside the recommended ones in the same run.

Every setting is changed by itself, for a server that is otherwise configured as conf/performance.conf says but for
its 80 threads a child and no access log, and measured in turn with that server, over several rounds: ratios of posts
a second and of processor time a batch are medians of the rounds' own. Those that matter only to senders which connect
anew for each post are measured with such senders. Writes JSON (t/settings.json of the build, --json; --record copies
it to docs/performance) and prints a table. About ten minutes.
"""
from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from curves import markdown
from measure import BUILD, HERE, Load, Receiver, Shape, end_tidily, machine, run

RECORDED = HERE.parents[1] / "docs" / "performance"
FORMAT = 'LogFormat "%h %t \\"%r\\" %>s %D %{kinesis-records}n" events\n'
REQTIMEOUT = "RequestReadTimeout header=20-40,MinRate=500 body=20,MinRate=500\n"
BASE = Shape(durability="disk", children=2, threads=80, httpd_lines="EnableSendfile Off\nHostnameLookups Off\n" + FORMAT)
SHORT = "KeepAlive Off\n"


@dataclass(frozen=True)
class Change:
    setting: str
    value: str
    shape: Shape
    is_short: bool = False   # senders connect anew for each post


def with_lines(lines: str, *modules: str) -> Shape:
    return replace(BASE, httpd_lines=BASE.httpd_lines + lines, modules=modules)


CHANGES = (
    Change("MPM", "worker", replace(BASE, mpm="worker")),
    Change("MPM", "prefork, 160 children", replace(BASE, mpm="prefork", children=1, threads=160)),
    Change("children and `ThreadsPerChild`", "1 of 160", replace(BASE, children=1, threads=160)),
    Change("children and `ThreadsPerChild`", "4 of 80", replace(BASE, children=4)),
    Change("children and `ThreadsPerChild`", "8 of 80", replace(BASE, children=8)),
    Change("children and `ThreadsPerChild`", "2 of 400", replace(BASE, threads=400)),
    Change("`AsyncRequestWorkerFactor`", "1", with_lines("AsyncRequestWorkerFactor 1\n")),
    Change("`AsyncRequestWorkerFactor`", "8", with_lines("AsyncRequestWorkerFactor 8\n")),
    Change("`ListenCoresBucketsRatio`", "1", with_lines("ListenCoresBucketsRatio 1\n")),
    Change("`KeepAlive`", "Off", with_lines(SHORT)),
    Change("`MaxKeepAliveRequests`", "100", with_lines("MaxKeepAliveRequests 100\n")),
    Change("`MaxConnectionsPerChild`", "10000, short connections", with_lines(SHORT + "MaxConnectionsPerChild 10000\n"),
           True),
    Change("`AcceptFilter http`", "none, short connections", with_lines(SHORT + "AcceptFilter http none\n"), True),
    Change("`ListenCoresBucketsRatio`", "1, short connections", with_lines(SHORT + "ListenCoresBucketsRatio 1\n"), True),
    Change("`EnableSendfile`", "On", with_lines("EnableSendfile On\n")),
    Change("mod_reqtimeout", "on, for head and body", with_lines(REQTIMEOUT, "reqtimeout")),
    Change("`HostnameLookups`", "On (answered from a file)", with_lines("HostnameLookups On\n")),
    Change("access log", "`BufferedLogs On`", with_lines("BufferedLogs On\nCustomLog logs/events.log events\n")),
    Change("access log", "a line a write", with_lines("CustomLog logs/events.log events\n")),
)


def lines_of(change: Change) -> Shape:
    return replace(BASE, httpd_lines=BASE.httpd_lines + SHORT) if change.is_short else BASE


def measure(options: argparse.Namespace, receiver: Receiver) -> list[dict]:
    found = []
    changes = [c for c in CHANGES if not options.only or any(word in f"{c.setting} {c.value}" for word in options.only)]
    for number in range(options.rounds):
        for change in changes:
            load = Load(seconds=options.seconds)
            pair = [("base", lines_of(change)), ("changed", change.shape)]
            told = {name: asdict(run(shape, load, receiver)) for name, shape in (pair if number % 2 else pair[::-1])}
            found.append({"setting": change.setting, "value": change.value, "round": number, **told})
            print(f"  {number + 1}: {change.setting} {change.value}: {told['changed']['posts_a_second']:,.0f} posts/s, "
                  f"{told['base']['posts_a_second']:,.0f} without", file=sys.stderr)
    return found


def rows(found: dict) -> list[list[str]]:
    """A row a setting: medians of the rounds' ratios to the recommended settings."""
    table = [["setting", "changed to", "posts/s, to the recommended", "from to", "CPU a batch", "p99 of the answer"]]
    for setting, value in dict.fromkeys((r["setting"], r["value"]) for r in found["runs"]):
        runs = [r for r in found["runs"] if (r["setting"], r["value"]) == (setting, value)]
        ratios = {m: [r["changed"][m] / max(r["base"][m], 1e-9) for r in runs]
                  for m in ("posts_a_second", "cpu_us", "p99_us")}
        posts = ratios["posts_a_second"]
        table.append([setting, value, f"{statistics.median(posts):.2f}", f"{min(posts):.2f} to {max(posts):.2f}",
                      f"{statistics.median(ratios['cpu_us']):.2f}", f"{statistics.median(ratios['p99_us']):.2f}"])
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--only", action="append", help="settings with this word in them")
    parser.add_argument("--json", type=Path, default=BUILD / "t" / "settings.json")
    parser.add_argument("--record", action="store_true", help="copy the JSON to docs/performance")
    options = parser.parse_args()
    end_tidily()
    receiver = Receiver()
    try:
        found = {**machine(), "runs": measure(options, receiver)}
    finally:
        receiver.close()
    options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if options.record:
        shutil.copy(options.json, RECORDED / "settings.json")
    print(f"\n{found['machine']}, {found['date']}\n\n{markdown(rows(found))}\n\nAll numbers: {options.json}")


if __name__ == "__main__":
    main()
