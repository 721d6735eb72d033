"""Every secret that stand-ins of this process have given out or been told, for who looks where they turn up."""
from __future__ import annotations

given_out: set[str] = set()
