"""Each event from its sender to each reader: what was sent is compared, token by token, with what was read, and the
account is written down. Knows nothing of servers and of how senders work.

An event is told by its `custom_attributes.kf_event`, or else by its `source_message_id`, or else (older releases of the Web
SDK give none to the events they make themselves) by all of its text; no two have the same."""
from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterable

import oracle
import rawjson
from rawjson import Obj

SAME, FILTERED, REPEATED = "same", "filtered as configured", "as often as it was accepted"
MISSING, ALTERED, TWICE, UNASKED = "missing", "altered", "more than once", "not to be there"
GOOD = (SAME, FILTERED, REPEATED)


@dataclass
class Upload:
    """A batch that a sender sent and that was answered with 202 (or a beacon, whose answer nobody sees). `times` is more
    than 1 where the sender did not get the answer and sent it again."""
    sender: str
    how: str
    batch: Obj
    from_ms: int
    to_ms: int
    times: int = 1

    def keys(self) -> list[str]:
        return [key_of(event) for event in self.batch.get("events")]


@dataclass
class Route:
    """A connection: where it leads, what it drops, and how it makes records of uploads."""
    reader: str
    stream: str
    mode: str
    dropped: frozenset[str]
    senders: tuple[str, ...]
    records: list[bytes] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.reader} {self.mode}"

    @property
    def merges(self) -> bool:
        """Whether it collects events in windows, which drop repeats."""
        return self.mode in ("window", "complete")


def key_of(event: Obj) -> str:
    data = rawjson.plain(event.get("data"))
    return (data.get("custom_attributes") or {}).get("kf_event") or data.get("source_message_id") or \
        f"{oracle.event_type(event)} {hashlib.sha256(rawjson.dump(event)).hexdigest()[:12]}"


def differences(expected: Obj, got: Obj) -> Iterable[str]:
    """The members that are not the same, but for the events."""
    for name in dict.fromkeys((*expected.names(), *got.names())):
        one, other = (b"nothing" if node is None else rawjson.dump(node) for node in (expected.get(name), got.get(name)))
        if one != other and name != "events":
            yield f"{name}: {one[:300]!r} became {other[:300]!r}"
    if expected.names() != got.names():
        yield f"members {expected.names()} became {got.names()}"


def text_of(event: Obj) -> bytes:
    return rawjson.dump(event)


class Trace:
    def __init__(self, uploads: list[Upload], routes: list[Route]) -> None:
        self.uploads, self.routes = uploads, routes
        keys = Counter(key for upload in uploads for key in upload.keys())
        assert not [key for key, count in keys.items() if count > 1], "events of the same name were sent"
        self.faults: list[str] = []
        self.rows = [self._row(upload, event) for upload in uploads for event in upload.batch.get("events")]
        for route in routes:
            self._follow(route)
        self.faults += [f"{row['event']} ({row['type']}, {row['sender']}): {outcome} in {where}"
                        for row in self.rows for where, outcome in row["readers"].items() if outcome not in GOOD]

    def _row(self, upload: Upload, event: Obj) -> dict[str, Any]:
        return {"event": key_of(event), "type": oracle.event_type(event), "sender": upload.sender, "how": upload.how,
                "source_request_id": rawjson.plain(upload.batch.get("source_request_id") or b"null"),
                "mpid": rawjson.plain(upload.batch.get("mpid") or b"null"), "readers": {}}

    def _follow(self, route: Route) -> None:
        """Looks for every event that was sent along the route, and at every record that came out of it."""
        mine = [upload for upload in self.uploads if upload.sender in route.senders]
        sent = {key_of(event): (event, 1 if route.merges else upload.times)
                for upload in mine for event in upload.batch.get("events")}
        found: dict[str, list[bytes]] = {}
        for record in route.records:
            events = rawjson.parse(record).get("events")
            for event in events:
                found.setdefault(key_of(event), []).append(text_of(event))
            self._check_record(route, record, [upload for upload in mine
                                               if set(upload.keys()) & {key_of(event) for event in events}])
        for row in self.rows:
            if row["event"] in sent:
                row["readers"][route.name] = self._outcome(route, row["type"], *sent[row["event"]], found.pop(row["event"], []))
        self.faults += [f"{key}: {UNASKED} in {route.name}" for key in found]

    @staticmethod
    def _outcome(route: Route, kind: str, sent: Obj, times: int, arrived: list[bytes]) -> str:
        if kind in route.dropped:
            return UNASKED if arrived else FILTERED
        if len(arrived) != times:
            return TWICE if len(arrived) > times else MISSING
        if set(arrived) != {text_of(sent)}:
            return ALTERED
        return SAME if times == 1 else REPEATED

    def _check_record(self, route: Route, record: bytes, uploads: list[Upload]) -> None:
        """All of a record but its events: the outbound form of the upload it was made of; of several, of one of them."""
        got = rawjson.parse(record)
        request_id = got.get("source_request_id")
        bases = [upload for upload in uploads if upload.batch.get("source_request_id") == request_id] \
            if request_id is not None else uploads
        if not bases or (route.mode in ("each", "server") and len(uploads) != 1):
            self.faults.append(f"a record of {route.name} is made of {len(uploads)} uploads, {len(bases)} of its name")
            return
        expected = oracle.filtered(bases[-1].batch, route.dropped)
        if len(uploads) > 1:
            times = [rawjson.plain(event.get("data"))["timestamp_unixtime_ms"] for event in got.get("events")]
            if times != sorted(times):
                self.faults.append(f"a record of {route.name} has events out of order")
            expected.set("events", got.get("events"))
            # The newest upload has the say; what it doesn't mention, or has as null, is an older one's.
            for older in reversed(uploads):
                for name in older.batch.names():
                    if expected.get(name) in (None, b"null"):
                        expected.set(name, older.batch.get(name))
        elif route.merges:
            # A session's straggler, or a window's end, may part the events of an upload.
            expected.set("events", got.get("events"))
        try:
            oracle.assert_outbound(record, expected, min(u.from_ms for u in uploads), max(u.to_ms for u in uploads))
        except AssertionError:
            self.faults.append(f"a record of {route.name} ({request_id!r}) is not its upload in outbound form: "
                               + "; ".join(differences(expected, got)))

    # The report

    def summary(self) -> dict[str, Any]:
        outcomes = {route.name: Counter(row["readers"][route.name] for row in self.rows if route.name in row["readers"])
                    for route in self.routes}
        return {"events": len(self.rows), "uploads": len(self.uploads), "faults": len(self.faults),
                "types": dict(sorted(Counter(row["type"] for row in self.rows).items())),
                "senders": dict(sorted(Counter(f"{row['sender']}, {row['how']}" for row in self.rows).items())),
                "readers": {route.name: {"records": len(route.records), **outcomes[route.name]} for route in self.routes}}

    def write(self, folder: Path, versions: dict[str, str]) -> None:
        """trace.json and trace.txt."""
        folder.mkdir(parents=True, exist_ok=True)
        whole = {"versions": versions, "summary": self.summary(), "faults": self.faults, "events": self.rows}
        (folder / "trace.json").write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        (folder / "trace.txt").write_text("\n".join(self._lines(versions)) + "\n", encoding="utf-8")

    def _lines(self, versions: dict[str, str]) -> Iterable[str]:
        counts = self.summary()
        yield "versions: " + ", ".join(f"{name} {version}" for name, version in versions.items())
        yield f"{counts['events']} events in {counts['uploads']} batches, {counts['faults']} faults"
        yield from (f"  {count:5} {what}" for what, count in (*counts["senders"].items(), *counts["types"].items()))
        yield ""
        yield from table([("reader and mode", "records", *map(str, (*GOOD, "anything else"))),
                          *((name, str(seen["records"]), *(str(seen.get(outcome, 0)) for outcome in GOOD),
                             str(sum(n for what, n in seen.items() if what not in ("records", *GOOD))))
                            for name, seen in counts["readers"].items())])
        yield ""
        yield from self.faults
        names = [route.name for route in self.routes]
        short = {SAME: "=", FILTERED: "filtered", REPEATED: "= repeated"}
        yield from table([("event", "type", "sender", "how", *names),
                          *((row["event"], row["type"], row["sender"], row["how"],
                             *(short.get(row["readers"].get(name, ""), row["readers"].get(name, "")) for name in names))
                            for row in self.rows)])


def table(rows: list[tuple[str, ...]]) -> Iterable[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
