"""The server's open windows as its index tells them, and a way to let time pass for them."""
from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass

from httpd_server import DEADLINE, Httpd

SECOND_US = 10**6


@dataclass(frozen=True)
class Window:
    """An open window; times are microseconds of the wall clock."""
    message_id: str
    opened_us: int
    due_us: int
    uploads: int


class Index:
    """The index of a server, which may be running: SQLite's own locks keep us apart."""

    def __init__(self, server: Httpd) -> None:
        self._path = server.root / "store" / "index.db"

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self._path}?mode=rw", uri=True, timeout=DEADLINE)

    def is_made(self) -> bool:
        """Whether the first child has made its tables."""
        try:
            self.uploads()
        except sqlite3.OperationalError:
            return False
        return True

    def windows(self) -> list[Window]:
        with closing(self._open()) as db:
            rows = db.execute("SELECT message_id, opened_us, due_us, uploads FROM window ORDER BY id")
            return [Window(*row) for row in rows]

    def uploads(self) -> int:
        """In all windows."""
        with closing(self._open()) as db:
            return db.execute("SELECT coalesce(sum(uploads), 0) FROM window_total").fetchone()[0]

    def open_bytes(self) -> int:
        """What open windows hold, without those that are to be delivered."""
        with closing(self._open()) as db:
            return db.execute("SELECT coalesce(sum(bytes - sealed_bytes), 0) FROM window_total").fetchone()[0]

    def counts(self) -> dict[str, int]:
        """How many windows are open, were ever opened (while some are open), and are due or sealed."""
        with closing(self._open()) as db:
            opened, = db.execute("SELECT coalesce(max(id), 0) FROM window").fetchone()
            count, = db.execute("SELECT coalesce(sum(windows), 0) FROM window_total").fetchone()
            due, = db.execute("SELECT count(*) FROM window INDEXED BY window_due WHERE connection = 1 AND due_us <= ?",
                              (int(time.time() * SECOND_US),)).fetchone()
            return {"opened": opened, "open": count, "due": due}

    def pass_time(self, seconds: float) -> None:
        """Makes all windows older, as if so much time had passed."""
        by = int(seconds * SECOND_US)
        with closing(self._open()) as db, db:
            db.execute("UPDATE window SET due_us = due_us - ?1, opened_us = opened_us - ?1, last_us = last_us - ?1,"
                       " over_us = CASE over_us WHEN 0 THEN 0 ELSE over_us - ?1 END WHERE due_us > 0", (by,))

    def first_due_in(self) -> float:
        """Seconds until the first window is due."""
        with closing(self._open()) as db:
            due_us, = db.execute("SELECT min(due_us) FROM window WHERE due_us > 0").fetchone()
            return due_us / SECOND_US - time.time()
