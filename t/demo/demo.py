#!/usr/bin/python3
"""`make demo`: posts sample batches through an httpd with the module, and shows what each of them became.

Starts the stand-in for AWS and a private httpd on loopback, posts to a Kinesis and a Firehose connection, and
prints every record beside the post it came from. On a terminal it goes on until Ctrl-C and shows what else is
posted; otherwise it ends by itself, well only if all that was expected has been delivered.
"""
from __future__ import annotations

import json
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "e2e"), str(HERE.parent / "aws")]

try:
    from standin import KEY_ID, SECRET, Entry, StandIn
except ImportError as missing:
    sys.exit(f"demo: {missing} (run it as \"make demo\"; "
             "Debian: apt-get install python3-botocore python3-cryptography)")
from configs import SAMPLES
from httpd_server import Httpd, Missing, check_prerequisites, load_lines, run_as_lines

STREAMS = {"kinesis": "demo-events", "firehose": "demo-lake"}
STATUS_PATH = "/kinesis-status"
DELIVERY_SECONDS = 60
EXCERPT_LINES = 50
POLL_SECONDS = 0.05
WIDTH = 100


@dataclass
class Post:
    """A sample to post, what it shows, the expected answer, and how many records each connection is to get."""
    file: str
    about: str
    status: int
    records: dict[str, int]
    path: str = "/v2/events"


POSTS = [
    Post("known-user-customerid-alias", "a custom event of a known user", 202, {"kinesis": 1, "firehose": 1}),
    Post("every-schema-event-type", "every event type; the Firehose connection drops most of them", 202,
         {"kinesis": 1, "firehose": 1}),
    Post("location-everywhere", "locations in every place, removed for Firehose", 202, {"kinesis": 1, "firehose": 1}),
    Post("profile-changes", "nothing is left of it for the Firehose connection", 202, {"kinesis": 1, "firehose": 0}),
    Post("int64-and-unicode-edges", "64-bit integers, escapes and emoji, unchanged", 202,
         {"kinesis": 1, "firehose": 1}),
    Post("audience-all-identities", "an audience message", 202, {"kinesis": 1, "firehose": 1}),
    Post("bulk-three-batches", "a bulk: a record for each of its batches", 202, {"kinesis": 3, "firehose": 2},
         "/v2/bulkevents"),
    Post("bulk-one-good-one-bad", "a bulk with a mistake: nothing of it is forwarded", 400,
         {"kinesis": 0, "firehose": 0}, "/v2/bulkevents"),
]


class Failed(Exception):
    """The demo did not show what it should."""


class Demo:
    """The stand-in, the httpd in front of it, and how many records have been shown so far."""

    def __init__(self) -> None:
        self.aws = StandIn(streams={STREAMS["kinesis"]: 2}, delivery_streams={STREAMS["firehose"]: "DirectPut"}).start()
        text = (HERE / "demo.conf.in").read_text(encoding="utf-8")
        for name, value in (("@MODULES@", load_lines("event")), ("@RUN_AS@", run_as_lines()), ("@KEY_ID@", KEY_ID),
                            ("@ENDPOINT@", self.aws.url)):
            text = text.replace(name, value.rstrip("\n"))
        self.httpd = Httpd(text, head="", prefix="kf-demo-")
        (self.httpd.root / "secret").write_text(SECRET)
        self.url = f"http://127.0.0.1:{self.httpd.port}"
        self._shown = dict.fromkeys(STREAMS, 0)

    def start(self) -> None:
        self.httpd.start()

    def close(self) -> None:
        self.httpd.close()
        self.aws.stop()

    def new_records(self, name: str) -> list[Entry]:
        """What a connection has delivered since it was asked last."""
        entries = self.aws.records(stream=STREAMS[name])[self._shown[name]:]
        self._shown[name] += len(entries)
        return entries

    def wait_for(self, name: str, count: int) -> list[Entry]:
        found = self._shown[name] + count
        if self.aws.wait_for(found, stream=STREAMS[name], timeout=DELIVERY_SECONDS) < found:
            raise Failed(f"{count} records were expected in {STREAMS[name]}, and within {DELIVERY_SECONDS} s "
                         f"there came {self.aws.total(stream=STREAMS[name]) - self._shown[name]}")
        return self.new_records(name)

    def status_page(self) -> str | None:
        return self.url + STATUS_PATH if self.httpd.request("GET", STATUS_PATH).status == 200 else None


def event_types(batch: Any) -> list[str]:
    return [event["event_type"] for event in batch.get("events") or []]


def posted_types(body: bytes) -> Counter:
    posted = json.loads(body)
    batches = posted if isinstance(posted, list) else [posted]
    return Counter(kind for batch in batches for kind in event_types(batch) if isinstance(kind, str))


def listed(types: Counter) -> str:
    return ", ".join(kind if count == 1 else f"{kind} x{count}" for kind, count in sorted(types.items())) or "-"


def wrapped(label: str, text: str) -> None:
    """A label and a text that goes on under its own beginning."""
    indent = " " * 12 + label.ljust(9)
    line = indent
    for word in text.split(" "):
        if len(line) + len(word) > WIDTH:
            print(line.rstrip())
            line = " " * len(indent)
        line += word + " "
    print(line.rstrip())


def show_records(name: str, entries: list[Entry], sent: Counter | None) -> None:
    """What a connection made of a post: records, bytes, and which of the event types sent were kept."""
    arrow = f"  -> {name.ljust(8)} {STREAMS[name].ljust(12)}"
    if not entries:
        print(f"{arrow} nothing")
    for entry in entries:
        record = json.loads(entry.data)
        if "AudienceId" in record:
            about = f"audience message, {len(record.get('UserIdentities', {}))} identities"
        else:
            events = len(event_types(record))
            about = "1 event" if events == 1 else f"{events} events"
        key = "" if entry.partition_key is None else f", partition key {entry.partition_key}"
        print(f"{arrow} {len(entry.data)} bytes, {about}{key}")
    if sent:
        kept = Counter(kind for entry in entries for kind in event_types(json.loads(entry.data)))
        wrapped("kept", listed(kept))
        wrapped("dropped", listed(sent - kept))


def run_posts(demo: Demo) -> dict[str, bytes]:
    """Posts every sample and shows its records; the first batch record of each connection."""
    first: dict[str, bytes] = {}
    for post in POSTS:
        body = (SAMPLES / f"{post.file}.json").read_bytes()
        answer = demo.httpd.post(post.path, body)
        print(f"\nPOST {post.path}  {post.file}.json, {len(body)} bytes: {post.about}\n  <- {answer.status}"
              f" {answer.body.decode()}".rstrip())
        if answer.status != post.status:
            raise Failed(f"{post.file}.json was answered {answer.status}, not {post.status}")
        for name in STREAMS:
            entries = demo.wait_for(name, post.records[name])
            if post.status == 202:
                show_records(name, entries, posted_types(body))
            if entries:
                first.setdefault(name, entries[0].data)
    return first


def check_totals(demo: Demo) -> None:
    """Nothing more may have come than was expected."""
    for name, stream in STREAMS.items():
        expected, total = sum(post.records[name] for post in POSTS), demo.aws.total(stream=stream)
        if total != expected:
            raise Failed(f"{stream} got {total} records, {expected} were expected")


def show_excerpts(first: dict[str, bytes]) -> None:
    print(f"\n{POSTS[0].file}.json as it was delivered:")
    for name, record in first.items():
        lines = json.dumps(json.loads(record), indent=2, ensure_ascii=False).splitlines()
        print(f"\n  {name}, {STREAMS[name]}:")
        for line in lines[:EXCERPT_LINES]:
            print(f"    {line}")
        if len(lines) > EXCERPT_LINES:
            print(f"    ... {len(lines) - EXCERPT_LINES} more lines")


def show_addresses(demo: Demo) -> None:
    print(f"\nconfiguration: {demo.httpd.config_file}\nerror log:     {demo.httpd.root}/logs/error.log")
    page = demo.status_page()
    if page:
        print(f"status page:   {page}  (?format=json, ?format=prometheus, ?health)")


def follow(demo: Demo) -> None:
    """Shows what else arrives, until Ctrl-C."""
    print(f"\nPost something yourself:\n  curl -i -H 'Content-Type: application/json' --data-binary @FILE "
          f"{demo.url}/v2/events\nwith a FILE of {SAMPLES}. Ctrl-C ends.")
    try:
        while demo.httpd.running():
            for name in STREAMS:
                entries = demo.new_records(name)
                if entries:
                    print()
                    show_records(name, entries, None)
            time.sleep(POLL_SECONDS)
        raise Failed("httpd ended by itself")
    except KeyboardInterrupt:
        print()


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def main() -> int:
    signal.signal(signal.SIGTERM, interrupt)
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    try:
        check_prerequisites()
        demo = Demo()
    except Missing as missing:
        sys.exit(f"demo: {missing}")
    try:
        demo.start()
        print(f"httpd with the module on {demo.url}, a stand-in for AWS on {demo.aws.url}")
        first = run_posts(demo)
        check_totals(demo)
        show_excerpts(first)
        show_addresses(demo)
        if sys.stdin.isatty() and sys.stdout.isatty():
            follow(demo)
        return 0
    except (Failed, AssertionError) as failure:
        print(f"\ndemo: {failure}\n\nThe end of the error log:", file=sys.stderr)
        print("\n".join(demo.httpd.all_log().splitlines()[-30:]), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        demo.close()


if __name__ == "__main__":
    sys.exit(main())
