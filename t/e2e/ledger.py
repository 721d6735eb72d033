"""Questions to the stand-in about what arrived, and the accounts that a scenario must balance."""
from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from typing import Any, Callable, Container, Hashable, Iterable

import loadgen
from httpd_server import DEADLINE, wait_until
from kills import Kill, assert_bounded, fates
from loadgen import Outcome
from standin import StandIn


def data(aws: StandIn, stream: str = "events") -> list[bytes]:
    return [entry.data for entry in aws.records(stream=stream)]


def members(aws: StandIn, name: str, stream: str = "events") -> list[Any]:
    """A batch-level member of each record, None where there is none."""
    return [json.loads(record).get(name) for record in data(aws, stream)]


def ids(aws: StandIn, stream: str = "events") -> list[str]:
    return members(aws, "source_request_id", stream)


def find(aws: StandIn, request_id: str, stream: str = "events", count: int = 1) -> list[bytes]:
    """The records made of one posted batch, once there are so many of them."""
    def found() -> list[bytes]:
        return [record for record in data(aws, stream) if json.loads(record).get("source_request_id") == request_id]
    wait_until(lambda: len(found()) >= count, f"{count} records of {request_id} in {stream}")
    return found()


def wait_ids(aws: StandIn, wanted: Iterable[str], stream: str = "events", timeout: float = DEADLINE) -> None:
    """Waits until every one of these batches has arrived."""
    missing = set(wanted)
    try:
        wait_until(lambda: not missing.difference(ids(aws, stream)), "the records", timeout)
    except AssertionError:
        raise AssertionError(f"not delivered to {stream} within {timeout:.0f} s: "
                             f"{len(missing.difference(ids(aws, stream)))} of {len(missing)}") from None


def assert_no_unexplained_duplicates(aws: StandIn, stream: str = "events") -> None:
    """A record may stand twice only where the answer to an earlier copy's call did not arrive."""
    entries: dict[bytes, list[str]] = {}
    for entry in aws.records(stream=stream):
        entries.setdefault(entry.data, []).append(entry.answer)
    unexplained = [answers for answers in entries.values() if answers.count("delivered") > 1]
    assert not unexplained, f"{len(unexplained)} records stand twice though their answers arrived: {unexplained[:5]}"


def assert_exactly(aws: StandIn, posted: Iterable[str], stream: str = "events") -> None:
    """What was posted arrived, once, and nothing else did."""
    wanted = list(posted)
    wait_ids(aws, wanted, stream)
    assert Counter(ids(aws, stream)) == Counter(wanted)


@dataclass
class Account:
    """What became of the batches of a load: how many records arrived, how many of them once more by what explains
    them, and how many could have come once more at most, given what was under way at the kills."""
    batches: int
    delivered: int = 0
    answer_lost: int = 0
    unnoted: int = 0
    kills: int = 0
    most: int = 0
    longest: float = 0.0
    closed_again: int = 0

    def __str__(self) -> str:
        text = f"{self.delivered} delivered, {self.answer_lost} again because AWS's answer was lost"
        if self.kills:
            text += (f", {self.unnoted} again because it was not noted before one of {self.kills} children was killed "
                     f"(of at most {self.most} in calls under way then; answered up to {self.longest * 1000:.0f} ms "
                     "before)")
        if self.closed_again:
            text += f", {self.closed_again} again of windows that were closed when a child was killed"
        return text


def balance(aws: StandIn, outcome: Outcome, stream: str = "events", *, kills: Iterable[Kill] = (),
            make: Callable[[int], bytes] = loadgen.body, timeout: float = DEADLINE) -> Account:
    """Waits until every accepted batch of a load has arrived as it was posted; whatever came that nobody posted, or
    came twice for another reason than those of kills.py, is an error."""
    digest = aws.app.ledger.digest

    def mark(number: int) -> bytes:
        return hashlib.sha256(make(number)).digest() if digest else make(number)

    wanted = {mark(number) for number in outcome.accepted}
    possible = wanted | {mark(number) for number in outcome.unanswered}
    wait_until(lambda: _distinct(aws, stream) >= len(wanted), f"{len(wanted)} batches in {stream}", timeout)
    wait_until(lambda: not wanted.difference(*(call.data for call in aws.call_log(stream))), "the last of the batches",
               timeout)
    return explain(aws, len(wanted), stream, list(kills), lambda data: data, possible)


def explain(aws: StandIn, batches: int, stream: str, kills: list[Kill], name: Callable[[bytes], Hashable],
            possible: Container[Hashable] | None = None, closing: int = 0) -> Account:
    """Accounts for every record, by its name: what came twice, and why. So many records may be made again after each
    kill: those of windows whose removal was under way."""
    found = fates(aws, stream, kills)
    account = Account(batches, kills=len(kills), most=found.most()[1])
    seen: dict[Hashable, list[int]] = {}
    again: set[int] = set()
    unexplained = []
    for call in found.calls.values():
        account.delivered += call.accepted
        for data in call.data:
            named = name(data)
            assert possible is None or named in possible, f"nobody posted {data[:200]!r}"
            copies = seen.setdefault(named, [])
            if copies:
                again.update(copies)
                account.answer_lost += any(copy in found.lost for copy in copies)
                account.unnoted += not any(copy in found.lost for copy in copies)
            if not all(found.explains(copy, call.id) for copy in copies):
                unexplained.append((named, copies + [call.id]))
            copies.append(call.id)
    account.closed_again = len(unexplained)
    assert len(unexplained) <= closing * len(kills), f"{len(unexplained)} records came twice for no reason: {found.tell(unexplained[:3])}"
    assert_bounded(found, again)
    account.longest = max((found.before_kill(call) for call in again & found.unnoted), default=0.0)
    return account


def _distinct(aws: StandIn, stream: str) -> int:
    return sum(row["distinct"] for row in aws.summary()["streams"] if row["stream"] == stream)
