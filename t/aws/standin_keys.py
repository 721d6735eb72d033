"""Temporary keys: makes them, tells the signature check of them, and remembers who got which and for how long."""
from __future__ import annotations

import base64
import secrets
import string
import time
from dataclasses import asdict, dataclass
from typing import Any

from standin_secrets import given_out
from standin_sign import Credential

ID_CHARACTERS = string.ascii_uppercase + "234567"
SECRET_BYTES = 30
TOKEN_BYTES = 270


@dataclass
class Issued:
    """One set of temporary keys: `source` is sts, imds or container, `caller` the key id that asked for it."""
    key_id: str
    secret: str
    token: str
    source: str
    role: str
    session: str
    caller: str
    issued: float
    expires: float

    def expiration(self) -> str:
        """The expiry as AWS writes it; below a second it rounds down."""
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.expires))

    def members(self) -> dict[str, str]:
        """The names that the metadata services use."""
        return {"AccessKeyId": self.key_id, "SecretAccessKey": self.secret, "Token": self.token,
                "Expiration": self.expiration()}

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class Life:
    """How long keys are good: `seconds` as they say themselves, `accepted` as the services take them."""
    seconds: float
    accepted: float | None = None


class KeyIssuer:
    """Issues keys into the dictionary of credentials that the signature check looks into."""

    def __init__(self, credentials: dict[str, Credential]) -> None:
        self._credentials = credentials
        self.issued: list[Issued] = []

    def issue(self, source: str, role: str, life: Life, now: float, session: str = "", caller: str = "") -> Issued:
        keys = Issued("ASIA" + "".join(secrets.choice(ID_CHARACTERS) for _ in range(16)),
                      base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode(),
                      base64.b64encode(secrets.token_bytes(TOKEN_BYTES)).decode(),
                      source, role, session, caller, now, now + life.seconds)
        accepted = life.seconds if life.accepted is None else life.accepted
        self._credentials[keys.key_id] = Credential(keys.secret, keys.token, now + accepted)
        self.issued.append(keys)
        given_out.update((keys.secret, keys.token))
        return keys

    def expire(self, source: str | None = None) -> int:
        """From now on the services say that these keys have expired; how many there were."""
        return self._change(source, lambda key_id: setattr(self._credentials[key_id], "expires", 0.0))

    def revoke(self, source: str | None = None) -> int:
        """From now on the services don't know these keys; how many there were."""
        return self._change(source, self._credentials.pop)

    def _change(self, source: str | None, change) -> int:
        chosen = [keys.key_id for keys in self.issued
                  if source in (None, keys.source) and keys.key_id in self._credentials]
        for key_id in chosen:
            change(key_id)
        return len(chosen)
