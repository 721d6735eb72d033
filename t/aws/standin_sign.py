"""Recomputes the AWS Signature Version 4 of each request and refuses, as AWS does, what does not agree."""
from __future__ import annotations

import calendar
import hashlib
import hmac
import time
from dataclasses import dataclass
from http.client import HTTPMessage
from typing import Sequence

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from standin_errors import AwsError

ALGORITHM = "AWS4-HMAC-SHA256"
TOLERANCE_SECONDS = 300
MUST_BE_SIGNED = ("content-type", "host", "x-amz-date", "x-amz-target")
AMZ_TIME = "%Y%m%dT%H%M%SZ"
CACHE_LIMIT = 256


@dataclass
class Credential:
    """A key the stand-in knows; with a token it stands for temporary credentials."""
    secret: str
    token: str | None = None
    expires: float | None = None


class RequestSigner(SigV4Auth):
    """botocore's signer, restricted to the headers that a received request says it signed."""

    def headers_to_sign(self, request: AWSRequest) -> HTTPMessage:
        return request.context["signed"]

    def payload(self, request: AWSRequest) -> str:
        return hashlib.sha256(request.data).hexdigest()


@dataclass
class Authorization:
    """The parts of an Authorization header."""
    key_id: str
    scope: list[str]
    signed: list[str]
    signature: str


class SignatureCheck:
    """Knows the credentials and the accepted regions; `check` raises AwsError for a request that is not good."""

    def __init__(self, credentials: dict[str, Credential], regions: list[str]) -> None:
        self.credentials = credentials
        self.regions = regions
        self._keys: dict[tuple, bytes] = {}

    def check(self, request, service: str, now: float, must_be_signed: Sequence[str] = MUST_BE_SIGNED) -> str:
        """The key id that signed; `request` has method, path, headers (list of lower-case name, value) and body."""
        headers: dict[str, list[str]] = {}
        for name, value in request.headers:
            headers.setdefault(name, []).append(value)
        auth = parse_authorization(headers)
        stamp = _single(headers, "x-amz-date")
        if stamp is None:
            raise _incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
        credential = self._known(auth, headers, now)
        self._check_scope(auth, service, stamp)
        _check_signed_names(auth, headers, must_be_signed)
        self._check_signature(request, auth, credential, headers, stamp)
        _check_time(stamp, now)
        return auth.key_id

    def _known(self, auth: Authorization, headers: dict, now: float) -> Credential:
        credential = self.credentials.get(auth.key_id)
        token = _single(headers, "x-amz-security-token")
        if credential is None or credential.token != token:
            raise AwsError("UnrecognizedClientException", "The security token included in the request is invalid.")
        if credential.expires is not None and now >= credential.expires:
            raise AwsError("ExpiredTokenException", "The security token included in the request is expired")
        return credential

    def _check_scope(self, auth: Authorization, service: str, stamp: str) -> None:
        if len(auth.scope) != 4:
            raise _incomplete(f"Credential must have exactly 5 slash-delimited elements, e.g. "
                              f"keyid/date/region/service/term, got '{auth.key_id}/{'/'.join(auth.scope)}'")
        date, region, scope_service, terminator = auth.scope
        problems = []
        if region not in self.regions:
            problems.append("Credential should be scoped to a valid region. ")
        if scope_service != service:
            problems.append(f"Credential should be scoped to correct service: '{service}'. ")
        if terminator != "aws4_request":
            problems.append("Credential should be scoped with a valid terminator: 'aws4_request', "
                            f"not '{terminator}'. ")
        if date != stamp[:8]:
            problems.append(f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from "
                            f"HTTP: '{date}' != '{stamp[:8]}', from '{stamp}'. ")
        if problems:
            raise _invalid("".join(problems))

    def _check_signature(self, request, auth: Authorization, credential: Credential, headers: dict,
                         stamp: str) -> None:
        signer = RequestSigner(Credentials(auth.key_id, credential.secret), auth.scope[2], auth.scope[1])
        signed = HTTPMessage()
        for name in auth.signed:
            for value in headers[name]:
                signed.add_header(name, value)
        rebuilt = AWSRequest(method=request.method, url="http://host" + request.path, data=request.body)
        rebuilt.context = {"timestamp": stamp, "signed": signed}
        canonical = signer.canonical_request(rebuilt)
        to_sign = signer.string_to_sign(rebuilt, canonical)
        key = self._signing_key(credential.secret, auth.scope)
        wanted = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(wanted.encode(), auth.signature.encode()):
            raise _invalid("The request signature we calculated does not match the signature you provided. Check "
                           "your AWS Secret Access Key and signing method. Consult the service documentation for "
                           f"details.\n\nThe Canonical String for this request should have been\n'{canonical}'\n\n"
                           f"The String-to-Sign should have been\n'{to_sign}'\n")

    def _signing_key(self, secret: str, scope: list[str]) -> bytes:
        cached = self._keys.get((secret, *scope))
        if cached is not None:
            return cached
        key = ("AWS4" + secret).encode()
        for part in scope:
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        if len(self._keys) >= CACHE_LIMIT:
            self._keys.clear()
        self._keys[(secret, *scope)] = key
        return key


def parse_authorization(headers: dict[str, list[str]]) -> Authorization:
    value = _single(headers, "authorization")
    if not value:
        raise AwsError("MissingAuthenticationTokenException", "Missing Authentication Token")
    algorithm, _, rest = value.partition(" ")
    if algorithm != ALGORITHM:
        raise _incomplete(f"Unsupported AWS 'algorithm': '{algorithm}'.")
    fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    missing = [name for name in ("Credential", "Signature", "SignedHeaders") if not fields.get(name)]
    if missing:
        raise _incomplete(" ".join(f"Authorization header requires '{name}' parameter." for name in missing))
    key_id, *scope = fields["Credential"].split("/")
    return Authorization(key_id, scope, fields["SignedHeaders"].split(";"), fields["Signature"])


def _check_signed_names(auth: Authorization, headers: dict, must_be_signed: Sequence[str]) -> None:
    required = list(must_be_signed)
    if "x-amz-security-token" in headers:
        required.append("x-amz-security-token")
    for name in required:
        if name not in auth.signed:
            shown = "'Host' or ':authority'" if name == "host" else f"'{name}'"
            raise _invalid(f"{shown} must be a 'SignedHeader' in the AWS Authorization.")
    if auth.signed != sorted(auth.signed):
        raise _invalid("SignedHeaders must be sorted.")
    for name in auth.signed:
        if name not in headers:
            raise _invalid(f"Header '{name}' is in 'SignedHeaders' but not in the request.")
    if len(headers["host"]) != 1:
        raise _invalid("Exactly one 'Host' is needed.")


def _check_time(stamp: str, now: float) -> None:
    try:
        signed_at = calendar.timegm(time.strptime(stamp, AMZ_TIME))
    except ValueError:
        raise _incomplete(f"Date must be in ISO-8601 'basic format'. Got '{stamp}'.") from None
    if signed_at < now - TOLERANCE_SECONDS:
        raise _invalid(f"Signature expired: {stamp} is now earlier than {_amz(now - TOLERANCE_SECONDS)} "
                       f"({_amz(now)} - 5 min.)")
    if signed_at > now + TOLERANCE_SECONDS:
        raise _invalid(f"Signature not yet current: {stamp} is still later than {_amz(now + TOLERANCE_SECONDS)} "
                       f"({_amz(now)} + 5 min.)")


def _amz(moment: float) -> str:
    return time.strftime(AMZ_TIME, time.gmtime(moment))


def _single(headers: dict[str, list[str]], name: str) -> str | None:
    values = headers.get(name)
    return values[0] if values else None


def _incomplete(message: str) -> AwsError:
    return AwsError("IncompleteSignatureException", message, 403)


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidSignatureException", message)
