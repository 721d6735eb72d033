"""The AWS Security Token Service: AssumeRole and AssumeRoleWithWebIdentity, form in, XML out, by botocore's model."""
from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Callable
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from botocore.model import Shape

from standin_errors import AwsError
from standin_http import Reply, Request
from standin_keys import Issued, KeyIssuer, Life
from standin_kinesis import partition_of
from standin_ledger import Call
from standin_secrets import given_out
from standin_shapes import Shapes
from standin_sign import SignatureCheck

VERSION = "2011-06-15"
NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
FORM_TYPE = "application/x-www-form-urlencoded"
MUST_BE_SIGNED = ("host", "x-amz-date")
DEFAULT_SECONDS = 3600
CHAINED_SECONDS = 3600
# What the query protocol calls the errors that the JSON services share with it, and their status.
QUERY_ERRORS = {"UnrecognizedClientException": ("InvalidClientTokenId", 403),
                "InvalidSignatureException": ("SignatureDoesNotMatch", 403),
                "ExpiredTokenException": ("ExpiredToken", 403),
                "IncompleteSignatureException": ("IncompleteSignature", 400),
                "MissingAuthenticationTokenException": ("MissingAuthenticationToken", 403),
                "AccessDeniedException": ("AccessDenied", 403), "ValidationException": ("ValidationError", 400),
                "SerializationException": ("MalformedQueryString", 400)}


@dataclass
class Role:
    """A role and whom it trusts: `callers` are key ids (None: everyone), `web_tokens` tokens with their expiry."""
    external_id: str | None = None
    callers: list[str] | None = None
    web_tokens: dict[str, float | None] = field(default_factory=dict)
    max_seconds: int = 3600
    lifetime: float | None = None
    accepted: float | None = None

    def __post_init__(self) -> None:
        given_out.update(self.web_tokens)


class Sts:
    """The service; `lifetime` of a role, in seconds, wins over the duration asked for."""

    name = "sts"

    def __init__(self, account: str, region: str, signatures: SignatureCheck, shapes: Shapes,
                 keys: KeyIssuer) -> None:
        self.account = account
        self.region = region
        self.roles: dict[str, Role] = {}
        self._signatures = signatures
        self._shapes = shapes
        self._keys = keys
        self._operations: dict[str, Callable[[dict, Call, float], dict]] = {
            "AssumeRole": self._assume, "AssumeRoleWithWebIdentity": self._assume_with_token,
            "GetCallerIdentity": self._identity}

    def claims(self, request: Request) -> bool:
        return request.header("content-type").partition(";")[0].strip().lower() == FORM_TYPE

    def operation(self, request: Request) -> str:
        """The operation, which is known as soon as the body has come."""
        return dict(parse_qsl(request.body.decode("latin-1"), keep_blank_values=True)).get("Action", "")

    def check(self, request: Request, call: Call, now: float) -> Callable[[], Reply]:
        if request.method != "POST" or request.path != "/":
            raise AwsError("InvalidAction", "Could not find the operation.", 404)
        form = _form(request.body)
        action = form.pop("Action", "")
        if form.pop("Version", "") != VERSION or action not in self._operations:
            raise AwsError("InvalidAction", f"Could not find operation {action} for version {VERSION}")
        if action == "AssumeRoleWithWebIdentity":
            if request.header("authorization"):
                raise AwsError("SignatureDoesNotMatch", "This operation is not signed.", 403)
        else:
            call.caller = self._signatures.check(request, self.name, now, MUST_BE_SIGNED)
        model = self._shapes.operation(self.name, action)
        params = self._shapes.decode_by_model(self.name, action, _typed(form, model.input_shape))
        call.detail = {name: value for name, value in params.items() if name != "WebIdentityToken"}
        return lambda: self._answer(action, model.output_shape, params, call, now)

    def refuse(self, code: str, status: int, message: str, call: Call) -> Reply:
        if (call.operation, code) != ("AssumeRoleWithWebIdentity", "ExpiredTokenException"):
            code, status = QUERY_ERRORS.get(code, (code, status))
        call.code = code
        kind = "Sender" if status < 500 else "Receiver"
        body = (f'<ErrorResponse xmlns="{NAMESPACE}">\n  <Error>\n    <Type>{kind}</Type>\n'
                f"    <Code>{escape(code)}</Code>\n    <Message>{escape(message)}</Message>\n  </Error>\n"
                f"  <RequestId>{uuid.uuid4()}</RequestId>\n</ErrorResponse>\n")
        return _xml(body, status)

    def _answer(self, action: str, shape: Shape, params: dict, call: Call, now: float) -> Reply:
        members = self._operations[action](params, call, now)
        body = (f'<{action}Response xmlns="{NAMESPACE}">\n  {_element(f"{action}Result", members, shape)}\n'
                f"  <ResponseMetadata>\n    <RequestId>{uuid.uuid4()}</RequestId>\n  </ResponseMetadata>\n"
                f"</{action}Response>\n")
        return _xml(body, 200)

    def _assume(self, params: dict, call: Call, now: float) -> dict:
        arn = params["RoleArn"]
        role = self.roles.get(arn)
        if (role is None or (role.callers is not None and call.caller not in role.callers)
                or (role.external_id is not None and params.get("ExternalId") != role.external_id)):
            raise AwsError("AccessDenied", f"User: {self._arn_of(call.caller)} is not authorized to perform: "
                           f"sts:AssumeRole on resource: {arn}", 403)
        chained = self._signatures.credentials[call.caller].token is not None
        return self._session(role, params, call, now, CHAINED_SECONDS if chained else role.max_seconds)

    def _assume_with_token(self, params: dict, call: Call, now: float) -> dict:
        role = self.roles.get(params["RoleArn"])
        token = params["WebIdentityToken"]
        if role is None or not role.web_tokens:
            raise AwsError("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", 403)
        if token not in role.web_tokens:
            raise AwsError("InvalidIdentityToken", "Couldn't retrieve verification key from your identity provider")
        expires = role.web_tokens[token]
        if expires is not None and now >= expires:
            raise AwsError("ExpiredTokenException", f"Token expired: current date/time {int(now)} must be before "
                           f"the expiration date/time {int(expires)}", 400)
        members = self._session(role, params, call, now, role.max_seconds)
        return {**members, "SubjectFromWebIdentityToken": "system:serviceaccount:stand:in", "Audience": "sts",
                "Provider": "https://oidc.invalid/stand-in"}

    def _session(self, role: Role, params: dict, call: Call, now: float, most: int) -> dict:
        seconds = params.get("DurationSeconds", min(DEFAULT_SECONDS, most))
        if seconds > most:
            raise AwsError("ValidationError",
                           "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
        arn, session = params["RoleArn"], params["RoleSessionName"]
        life = Life(seconds if role.lifetime is None else role.lifetime, role.accepted)
        keys = self._keys.issue(self.name, arn, life, now, session, call.caller)
        name = arn.rpartition("/")[2]
        assumed = f"arn:{partition_of(self.region)}:sts::{arn.split(':')[4]}:assumed-role/{name}/{session}"
        return {"Credentials": _credentials(keys), "PackedPolicySize": 1,
                "AssumedRoleUser": {"AssumedRoleId": f"AROASTANDINSTANDINAA:{session}", "Arn": assumed}}

    def _identity(self, params: dict, call: Call, now: float) -> dict:
        return {"UserId": call.caller, "Account": self.account, "Arn": self._arn_of(call.caller)}

    def _arn_of(self, key_id: str) -> str:
        """Who it is that signs with this key."""
        partition = partition_of(self.region)
        for keys in self._keys.issued:
            if keys.key_id == key_id:
                name = keys.role.rpartition("/")[2]
                return f"arn:{partition}:sts::{self.account}:assumed-role/{name}/{keys.session}"
        return f"arn:{partition}:iam::{self.account}:user/{key_id}"


def _form(body: bytearray) -> dict[str, str]:
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
    except ValueError:
        raise AwsError("MalformedQueryString", "The query string contains a syntax error.") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise AwsError("MalformedQueryString", "A parameter is given twice.")
    return form


def _typed(form: dict[str, str], shape: Shape) -> dict[str, Any]:
    """The form's values in the types of the model; only what is plain text or a number is known here."""
    typed: dict[str, Any] = {}
    for name, value in form.items():
        member = shape.members.get(name)
        number = member is not None and member.type_name == "integer"
        if number and not value.isdigit():
            raise AwsError("MalformedInput", f"'{value}' is no number for {name}")
        typed[name] = int(value) if number else value
    return typed


def _credentials(keys: Issued) -> dict[str, Any]:
    return {"AccessKeyId": keys.key_id, "SecretAccessKey": keys.secret, "SessionToken": keys.token,
            "Expiration": keys.expires}


def _element(name: str, value: Any, shape: Shape) -> str:
    """The XML of a value of the model's shape; a member the model doesn't have is a bug here."""
    if shape.type_name == "structure":
        inner = "".join(_element(key, member, shape.members[key]) for key, member in value.items())
    elif shape.type_name == "timestamp":
        inner = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(value))
    else:
        inner = escape(str(value))
    return f"<{name}>{inner}</{name}>"


def _xml(body: str, status: int) -> Reply:
    return Reply(status=status, body=body.encode(), headers={"Content-Type": "text/xml"})
