"""Questions to the stand-in about what arrived, and the accounts that a scenario must balance."""
from __future__ import annotations

import json
from collections import Counter
from typing import Any, Iterable

from httpd_server import DEADLINE, wait_until
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
