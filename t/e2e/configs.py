"""Builders of configuration text, and of the batches that tests post."""
from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any

from httpd_server import KEY_ID, SOURCE

SAMPLES = SOURCE / "t" / "data" / "samples" / "written"

_numbers = itertools.count(1)


def defaults(url: str, *lines: str) -> str:
    """Defaults for all connections: the stand-in at url, its key, no windows."""
    return "\n".join(["KinesisRegion us-east-1", f"KinesisAccessKeyId {KEY_ID}",
                      "KinesisSecretAccessKey file:@ROOT@/secret", f"KinesisEndpoint {url}",
                      "KinesisBatchWindow 0", *lines]) + "\n"


def connection(name: str, *lines: str, stream: str = "events", service: str = "streams") -> str:
    inside = [f"KinesisService {service}", f"KinesisStreamName {stream}", *lines]
    return section("KinesisConnection", name, inside)


def location(path: str, *connections: str, lines: tuple[str, ...] = ()) -> str:
    inside = ["SetHandler kinesis-forward", *lines]
    if connections:
        inside.append("KinesisForward " + " ".join(connections))
    return section("Location", f'"{path}"', inside)


def section(kind: str, argument: str, lines: list[str]) -> str:
    return f"<{kind} {argument}>\n" + "".join(f"    {line}\n" for line in lines) + f"</{kind}>\n"


def one_of_each(url: str, *lines: str) -> str:
    """A connection `one` to the stream `events`, fed by /v2/events."""
    return defaults(url, *lines) + connection("one") + location("/v2/events", "one")


def unique(prefix: str = "r") -> str:
    """A text that no other batch of this test process has."""
    return f"{prefix}-{os.getpid()}-{next(_numbers)}"


def batch(request_id: str | None = None, events: int | list = 1, **members: Any) -> bytes:
    """A batch in the form a server sends, with so many events or these; members replace or add."""
    listed = events if isinstance(events, list) else [
        {"event_type": "custom_event", "data": {"event_name": f"event {i}", "custom_event_type": "other",
                                                "timestamp_unixtime_ms": 1700000000000 + i}} for i in range(events)]
    whole = {"source_request_id": request_id or unique(), "environment": "production", "mpid": 7346244611012968789,
             "events": listed, **members}
    return json.dumps(whole, separators=(",", ":"), ensure_ascii=False).encode()


def sample(name: str) -> bytes:
    return (SAMPLES / f"{name}.json").read_bytes()


def sample_names() -> list[str]:
    return sorted(path.stem for path in Path(SAMPLES).glob("*.json"))
