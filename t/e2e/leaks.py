"""The secrets that tests work with, and the search for them in what a server writes, says and shows of itself. Every
server's logs, store and run folder, every answer and every configuration test are searched, and the command lines and
environments of its processes and of the programs that they run; tests need not ask for it."""
from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Collection, Iterator
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


def found_in_process(pid: int, announced: Collection[str] = ()) -> list[str]:
    """What a process shows to whoever may look at it: "its command line holds NAME", "its variable X holds NAME", but
    for the variables that are announced. Of one that is gone, nothing. The environment of another user's process is
    left out where root may not see it (containers without the right to trace): a fork's is that of its parent."""
    faults = [f"its command line holds {name}" for name in found_in(_shown(pid, "cmdline"))]
    for variable in _shown(pid, "environ").split(b"\0"):
        called = variable.partition(b"=")[0].decode(errors="replace")
        if called not in announced:
            faults += [f"its variable {called} holds {name}" for name in found_in(variable)]
    return faults


def refuse(data: bytes, where: str) -> None:
    """AssertionError if the data holds a secret."""
    found = found_in(data)
    assert not found, f"{where} holds {', '.join(found)}"


def _searched() -> Iterator[tuple[bytes, str]]:
    # Those that a test made up for itself may be words.
    named = {**{secret: "what the stand-in gave out" for secret in tuple(given_out)
             if len(secret) >= TELLING_CHARS}, **_declared}
    for secret, name in named.items():
        start = secret[:TELLING_CHARS]
        yield start.encode(), name
        if quote(start, safe="") != start:
            yield quote(start, safe="").encode(), name


def _shown(pid: int, name: str) -> bytes:
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return b""
    except PermissionError:
        if os.stat(f"/proc/{pid}").st_uid == os.getuid():
            raise
        return b""


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
