"""What the stand-in remembers: every call, and every record it accepted with what became of the answer.

A call's accepted records are kept as parallel lists in the call itself, so that 500 records cost a few list
appends. `answer` is "pending" until the reply has been written, then "delivered", or "lost" where a script
or a vanished client kept it from arriving, or from being read.
"""
from __future__ import annotations

import base64
import hashlib
import json
from time import monotonic, time as wall_clock
from dataclasses import dataclass, field
from typing import Any, Iterator, TextIO


@dataclass(slots=True)
class Call:
    """One request, and the records it brought in."""
    id: int
    connection: int
    service: str = ""
    operation: str = ""
    caller: str = ""
    stream: str = ""
    records: int = 0
    bytes: int = 0
    accepted: int = 0
    accepted_bytes: int = 0
    status: int = 0
    code: str = ""
    request_id: str = ""
    answer: str = "pending"
    time: float = field(default_factory=wall_clock)
    started: float = field(default_factory=monotonic)
    duration: float = 0.0
    detail: dict[str, Any] = field(default_factory=dict)
    rules: list[str] = field(default_factory=list)
    data: list[bytes] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    numbers: list[str] = field(default_factory=list)

    def accept(self, data: bytes, key: str | None, number: str) -> None:
        self.data.append(data)
        self.keys.append(key)
        self.numbers.append(number)

    def as_dict(self) -> dict[str, Any]:
        return {"id": self.id, "connection": self.connection, "service": self.service, "operation": self.operation,
                "caller": self.caller, "detail": self.detail, "stream": self.stream, "records": self.records, "accepted": self.accepted, "bytes": self.bytes,
                "status": self.status, "code": self.code, "request_id": self.request_id, "answer": self.answer,
                "time": self.time, "duration": self.duration, "rules": self.rules}


@dataclass(slots=True)
class Entry:
    """One accepted record; `data` is its SHA-256 digest where the stand-in keeps digests only."""
    service: str
    stream: str
    data: bytes
    partition_key: str | None
    number: str
    call: int
    time: float
    answer: str

    def as_dict(self, digest: bool) -> dict[str, Any]:
        shown = {"sha256": self.data.hex()} if digest else {"data": base64.b64encode(self.data).decode()}
        return {"service": self.service, "stream": self.stream, **shown, "partition_key": self.partition_key,
                "number": self.number, "call": self.call, "time": self.time, "answer": self.answer}


@dataclass
class StreamCount:
    """Running counts of one stream, brought up to date when somebody asks."""
    total: int = 0
    bytes: int = 0
    distinct: set[bytes] = field(default_factory=set)


class Ledger:
    """All calls in order of arrival, all calls with records in order of acceptance, and the append file."""

    def __init__(self, path: str | None = None, keep: str = "data") -> None:
        self.keep = keep
        self.digest = keep == "digest"
        self.calls: list[Call] = []
        self._accepted: list[Call] = []
        self._counts: dict[tuple[str, str], StreamCount] = {}
        self._counted = 0
        self._next_id = 1
        self._file: TextIO | None = open(path, "a", encoding="utf-8") if path else None

    def open_call(self, connection: int) -> Call:
        call = Call(self._next_id, connection)
        self._next_id += 1
        self.calls.append(call)
        return call

    def stored(self, call: Call) -> None:
        """The call's records have been accepted; the reply is still to come."""
        call.accepted = len(call.data)
        call.accepted_bytes = sum(map(len, call.data))
        if self.digest:
            call.data = [hashlib.sha256(data).digest() for data in call.data]
        if call.data:
            self._accepted.append(call)

    def counted(self, call: Call, records: int) -> None:
        """As `stored`, for a call whose records have been counted only."""
        call.records = call.accepted = records
        self._accepted.append(call)

    def finished(self, call: Call, delivered: bool) -> None:
        call.answer = "delivered" if delivered else "lost"
        call.duration = monotonic() - call.started
        if self._file and call.data:
            self._file.write("".join(json.dumps(entry.as_dict(self.digest)) + "\n" for entry in _entries(call)))
            self._file.flush()

    def unread(self, call: Call) -> None:
        """The client closed its end while some of the answer was there to be read."""
        call.answer = "lost"

    def entries(self, service: str | None = None, stream: str | None = None) -> Iterator[Entry]:
        for call in list(self._accepted):
            if (service is None or call.service == service) and (stream is None or call.stream == stream):
                yield from _entries(call)

    def accepted(self, stream: str) -> list[Call]:
        return [call for call in self._accepted if call.stream == stream]

    def summary(self) -> dict[str, Any]:
        """Per stream and over all: records, bytes, distinct records, duplicates, and records by answer."""
        self._count_new()
        answers: dict[tuple[str, str], dict[str, int]] = {}
        for call in list(self._accepted):
            per_stream = answers.setdefault((call.service, call.stream), {"delivered": 0, "lost": 0, "pending": 0})
            per_stream[call.answer] += call.accepted
        streams = [{"service": service, "stream": stream, "total": count.total, "bytes": count.bytes,
                    **self._distinct(count), **answers[service, stream]}
                   for (service, stream), count in list(self._counts.items())]
        return {"total": sum(row["total"] for row in streams),
                "duplicates": None if self.keep == "count" else sum(row["duplicates"] for row in streams),
                "streams": streams}

    def total(self, service: str | None = None, stream: str | None = None) -> int:
        self._count_new()
        return sum(count.total for (of_service, of_stream), count in self._counts.items()
                   if service in (None, of_service) and stream in (None, of_stream))

    def clear(self, what: str) -> None:
        """Forgets the accepted records ("ledger") or the calls ("calls"); the append file stays."""
        if what == "calls":
            self.calls = []
            return
        self._accepted = []
        self._counts = {}
        self._counted = 0

    def close(self) -> None:
        if self._file:
            self._file.close()
            self._file = None

    def _distinct(self, count: StreamCount) -> dict[str, int | None]:
        if self.keep == "count":
            return {"distinct": None, "duplicates": None}
        return {"distinct": len(count.distinct), "duplicates": count.total - len(count.distinct)}

    def _count_new(self) -> None:
        for call in self._accepted[self._counted:]:
            count = self._counts.setdefault((call.service, call.stream), StreamCount())
            count.total += call.accepted
            count.bytes += call.accepted_bytes
            count.distinct.update(call.data)
        self._counted = len(self._accepted)


def _entries(call: Call) -> Iterator[Entry]:
    for data, key, number in zip(call.data, call.keys, call.numbers):
        yield Entry(call.service, call.stream, data, key, number, call.id, call.time, call.answer)
