"""The secrets that tests work with, and the search for them in what a server writes and says. Every server's logs, store
and run folder, every answer and every configuration test are searched; tests need not ask for it."""
from __future__ import annotations

import sys
from pathlib import Path
from typing import Iterator
from urllib.parse import quote

sys.path.append(str(Path(__file__).resolve().parent.parent / "aws"))

from standin_secrets import given_out  # noqa: E402

# So much of the beginning tells a secret: a message may have cut off the rest.
TELLING_CHARS = 16
SHORTEST = 8
PIECE_BYTES = 8 << 20
# Where httpd and the module write. Configuration and key files lie elsewhere, and hold secrets rightly.
WRITTEN = ("logs", "store", "run")

_declared: dict[str, str] = {}


def add(secret: str, name: str) -> str:
    """From now on no server may show this text; it is returned."""
    if len(secret) < SHORTEST:
        raise ValueError(f"{name}: {secret!r} is too short to be told from other text")
    _declared[secret] = name
    return secret


def found_in(data: bytes) -> list[str]:
    """What of the secrets the data holds, by name."""
    return sorted({name for text, name in _searched() if text in data})


def found_under(root: Path) -> list[str]:
    """A line for each file that a server wrote under root and that holds a secret."""
    faults = []
    for folder in WRITTEN:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and not path.is_symlink():
                faults += [f"{path.relative_to(root)} holds {name}" for name in _found_in_file(path)]
    return faults


def refuse(data: bytes, where: str) -> None:
    """AssertionError if the data holds a secret."""
    found = found_in(data)
    assert not found, f"{where} holds {', '.join(found)}"


def _searched() -> Iterator[tuple[bytes, str]]:
    # Those that a test made up for itself may be words.
    named = {**{secret: "what the stand-in gave out" for secret in given_out
             if len(secret) >= TELLING_CHARS}, **_declared}
    for secret, name in named.items():
        start = secret[:TELLING_CHARS]
        yield start.encode(), name
        if quote(start, safe="") != start:
            yield quote(start, safe="").encode(), name


def _found_in_file(path: Path) -> list[str]:
    found: set[str] = set()
    try:
        with open(path, "rb") as file:
            kept = b""
            while piece := file.read(PIECE_BYTES):
                found.update(found_in(kept + piece))
                kept = piece[-4 * TELLING_CHARS:]
    except FileNotFoundError:
        pass
    return sorted(found)
