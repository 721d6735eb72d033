"""The two places where machines and containers find their keys: the instance metadata service, version 2 only, and
the container endpoint of ECS and EKS Pod Identity."""
from __future__ import annotations

import json
import secrets
import time
from typing import Callable
from urllib.parse import quote

from standin_errors import AwsError
from standin_http import Reply, Request
from standin_keys import Issued, KeyIssuer, Life
from standin_ledger import Call
from standin_secrets import given_out

TOKEN_PATH = "/latest/api/token"
ROLES_PATH = "/latest/meta-data/iam/security-credentials"
REGION_PATH = "/latest/meta-data/placement/region"
TOKEN_HEADER = "x-aws-ec2-metadata-token"
TTL_HEADER = "x-aws-ec2-metadata-token-ttl-seconds"
MAX_TTL = 21600
ECS_PREFIX = "/v2/credentials/"
EKS_PATH = "/v1/credentials"
RENEW_SECONDS = 300
LIFETIME = 21600.0


class Holder:
    """The current keys of one role: the same for everyone who asks, until a short time before their end."""

    def __init__(self, source: str, keys: KeyIssuer) -> None:
        self._source = source
        self._keys = keys
        self._current: Issued | None = None
        self.role: str | None = None
        self.life = Life(LIFETIME)

    def set(self, role: str | None, life: Life) -> None:
        self.role, self.life, self._current = role, life, None

    def current(self, now: float) -> Issued:
        renew = min(RENEW_SECONDS, abs(self.life.seconds) / 2)
        if self._current is None or (self.life.seconds > 0 and now >= self._current.expires - renew):
            self._current = self._keys.issue(self._source, self.role or "", self.life, now)
        return self._current

    def rotate(self) -> None:
        """The next who asks gets new keys; the old ones stay good."""
        self._current = None


class InstanceMetadata:
    """IMDSv2: a session token first, then the role's name, then its keys. Requests without a token are refused."""

    name = "imds"

    def __init__(self, region: str, keys: KeyIssuer) -> None:
        self.holder = Holder(self.name, keys)
        self.token_seconds: float | None = None
        self._region = region
        self._tokens: dict[str, float] = {}

    def claims(self, request: Request) -> bool:
        return request.path.startswith("/latest/")

    def operation(self, request: Request) -> str:
        if request.path == TOKEN_PATH:
            return "GetToken"
        if request.path == REGION_PATH:
            return "GetRegion"
        if request.path.rstrip("/") == ROLES_PATH:
            return "ListRoles"
        return "GetCredentials" if request.path.startswith(ROLES_PATH + "/") else "GetOther"

    def forget_tokens(self) -> None:
        """Session tokens given out so far are answered with 401 from now on."""
        self._tokens.clear()

    def check(self, request: Request, call: Call, now: float) -> Callable[[], Reply]:
        call.detail = {"method": request.method, "path": request.path}
        if call.operation == "GetToken":
            return self._check_token_request(request, call)
        if request.method != "GET":
            raise AwsError("Method Not Allowed", "", 405)
        expires = self._tokens.get(request.header(TOKEN_HEADER))
        if expires is None or time.monotonic() >= expires:
            raise AwsError("Unauthorized", "", 401)
        return lambda: self._answer(request.path, call.operation, now)

    def refuse(self, code: str, status: int, message: str, call: Call) -> Reply:
        call.code = code
        page = f"<html><head><title>{status} - {code}</title></head><body><h1>{status} - {code}</h1></body></html>\n"
        return Reply(status=status, body=page.encode(), headers={"Content-Type": "text/html"})

    def _check_token_request(self, request: Request, call: Call) -> Callable[[], Reply]:
        if request.method != "PUT":
            raise AwsError("Method Not Allowed", "", 405)
        if request.header("x-forwarded-for"):
            raise AwsError("Forbidden", "", 403)
        ttl = request.header(TTL_HEADER)
        if not ttl.isdigit() or not 1 <= int(ttl) <= MAX_TTL:
            raise AwsError("Bad Request", "", 400)
        call.detail["ttl"] = int(ttl)
        return lambda: self._give_token(int(ttl))

    def _give_token(self, ttl: int) -> Reply:
        token = secrets.token_urlsafe(42)
        given_out.add(token)
        self._tokens[token] = time.monotonic() + (ttl if self.token_seconds is None else self.token_seconds)
        return Reply(body=token.encode(), headers={"Content-Type": "text/plain", TTL_HEADER: str(ttl)})

    def _answer(self, path: str, operation: str, now: float) -> Reply:
        if operation == "GetRegion":
            return _text(self._region)
        role = self.holder.role
        if role is None or operation == "GetOther":
            raise AwsError("Not Found", "", 404)
        if operation == "ListRoles":
            return _text(role)
        if path != f"{ROLES_PATH}/{quote(role)}":
            raise AwsError("Not Found", "", 404)
        keys = self.holder.current(now)
        updated = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(keys.issued))
        members = {"Code": "Success", "LastUpdated": updated, "Type": "AWS-HMAC", **keys.members()}
        return Reply(body=json.dumps(members, indent=2).encode(), headers={"Content-Type": "text/plain"})


class ContainerCredentials:
    """The endpoint of ECS (`/v2/credentials/...`, whose path is the secret) and of EKS Pod Identity
    (`/v1/credentials`, with the token of the pod in Authorization)."""

    name = "container"

    def __init__(self, account: str, keys: KeyIssuer) -> None:
        self.holder = Holder(self.name, keys)
        self.authorization: str | None = None
        self._account = account

    def claims(self, request: Request) -> bool:
        return request.path == EKS_PATH or request.path.startswith(ECS_PREFIX)

    def operation(self, request: Request) -> str:
        return "GetCredentials"

    def check(self, request: Request, call: Call, now: float) -> Callable[[], Reply]:
        call.detail = {"method": request.method, "path": request.path}
        if request.method != "GET":
            raise AwsError("MethodNotAllowed", "Only GET is known.", 405)
        wanted, given = self.authorization, request.header("authorization")
        if request.path == EKS_PATH and not given:
            raise AwsError("MissingAuthorization", "Service account token cannot be empty", 400)
        if (wanted is not None and given != wanted) or (request.path == EKS_PATH and wanted is None):
            raise AwsError("AccessDenied", "The token is not good.", 401)
        if self.holder.role is None:
            raise AwsError("NoIdMapping", "No credentials are known for this task.", 404)
        return lambda: self._answer(now)

    def refuse(self, code: str, status: int, message: str, call: Call) -> Reply:
        call.code = code
        body = json.dumps({"code": code, "message": message, "HttpErrorCode": status}).encode()
        return Reply(status=status, body=body, headers={"Content-Type": "application/json"})

    def _answer(self, now: float) -> Reply:
        members = {**self.holder.current(now).members(), "RoleArn": self.holder.role, "AccountId": self._account}
        return Reply(body=json.dumps(members).encode(), headers={"Content-Type": "application/json"})


def _text(text: str) -> Reply:
    return Reply(body=text.encode(), headers={"Content-Type": "text/plain"})
