"""Tests of what the stand-in gives keys by: STS, the instance metadata service, the container endpoint; botocore's own
providers are the clients wherever they can be. And of the TLS and transport faults that have no boto3 shape."""
from __future__ import annotations

import datetime
import http.client
import json
import os
import socket
import ssl
import sys
import threading
import time
import urllib.error
import urllib.request
from urllib.parse import urlencode, urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.credentials import InstanceMetadataProvider
from botocore.exceptions import ClientError
from botocore.utils import ContainerMetadataFetcher, InstanceMetadataFetcher

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from standin import ACCOUNT, KEY_ID, SECRET, StandIn  # noqa: E402

ROLE = f"arn:aws:iam::{ACCOUNT}:role/path/writer"
INSTANCE_ROLE = "on-the-machine"
TOKEN_TTL = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
ROLES = "/latest/meta-data/iam/security-credentials/"
DEADLINE = 10


@pytest.fixture(scope="module")
def server():
    with StandIn(streams={"events": 1}, delivery_streams={"lake": "DirectPut"}, tls=True) as standin:
        yield standin


@pytest.fixture
def aws(server):
    server.reset()
    server.revoke_keys()
    server.app.sts.roles.clear()
    server.add_role(ROLE)
    server.set_instance_role(None)
    server.set_container_role(None)
    return server


def client(standin, service, keys=(KEY_ID, SECRET, None), region="us-east-1"):
    return boto3.client(service, endpoint_url=standin.url, region_name=region, aws_access_key_id=keys[0],
                        aws_secret_access_key=keys[1], aws_session_token=keys[2],
                        config=Config(retries={"total_max_attempts": 1}, read_timeout=5))


def keys_of(answer):
    made = answer["Credentials"]
    return made["AccessKeyId"], made["SecretAccessKey"], made["SessionToken"]


def assume(standin, keys=(KEY_ID, SECRET, None), **more):
    return client(standin, "sts", keys).assume_role(
        **{"RoleArn": ROLE, "RoleSessionName": "one", **more})


def puts(standin, keys):
    """Whether both services take a record signed with these keys."""
    client(standin, "kinesis", keys).put_record(StreamName="events", Data=b"x", PartitionKey="k")
    client(standin, "firehose", keys).put_record(DeliveryStreamName="lake", Record={"Data": b"x"})
    return True


def refused(keys, standin, said):
    for service, act in (("kinesis", lambda c: c.list_streams()), ("firehose", lambda c: c.list_delivery_streams())):
        with pytest.raises(ClientError, match=said):
            act(client(standin, service, keys))
    return True


def eventually(check):
    deadline = time.monotonic() + DEADLINE
    while not (value := check()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return value


def get(standin, path, method="GET", timeout=5, **headers):
    """One plain request: status, headers and body."""
    connection = http.client.HTTPConnection(urlsplit(standin.url).netloc, timeout=timeout)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def control(standin, method, path, value=None):
    body = None if value is None else json.dumps(value).encode()
    request = urllib.request.Request(f"{standin.control_url}/_control/{path}", body, method=method)
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)


# STS


def test_assumed_role_can_put(aws):
    answer = assume(aws, RoleSessionName="a@b=c,d.e-f", DurationSeconds=900)
    assert answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/writer/a@b=c,d.e-f"
    assert answer["ResponseMetadata"]["RequestId"]
    left = (answer["Credentials"]["Expiration"] - datetime.datetime.now(datetime.timezone.utc)).total_seconds()
    assert 890 < left <= 900
    keys = keys_of(answer)
    assert keys[0].startswith("ASIA") and puts(aws, keys)
    assert client(aws, "sts", keys).get_caller_identity()["Arn"] == answer["AssumedRoleUser"]["Arn"]
    issued, = aws.issued_keys("sts")[-1:]
    assert (issued.key_id, issued.secret, issued.token) == keys
    assert (issued.role, issued.session, issued.caller) == (ROLE, "a@b=c,d.e-f", KEY_ID)
    call = aws.calls("AssumeRole")[0]
    assert call["caller"] == KEY_ID and call["detail"] == {
        "RoleArn": ROLE, "RoleSessionName": "a@b=c,d.e-f", "DurationSeconds": 900}
    assert aws.calls("PutRecord")[0]["caller"] == keys[0]


def test_temporary_keys_need_their_own_token(aws):
    keys, others = keys_of(assume(aws)), keys_of(assume(aws))
    assert keys != others and puts(aws, keys) and puts(aws, others)
    for token in (None, others[2], keys[2][:-4]):
        assert refused((keys[0], keys[1], token), aws, "UnrecognizedClientException")
    assert refused((keys[0], others[1], keys[2]), aws, "InvalidSignatureException")


def test_temporary_keys_end(aws):
    aws.add_role(ROLE, lifetime=1)
    answer = assume(aws)
    keys = keys_of(answer)
    assert puts(aws, keys)

    def expired():
        try:
            return not puts(aws, keys)
        except ClientError as error:
            return error.response["Error"]["Code"] == "ExpiredTokenException"
    assert eventually(expired) and refused(keys, aws, "ExpiredTokenException")
    with pytest.raises(ClientError, match=r"\(ExpiredToken\)"):
        assume(aws, keys)
    more = keys_of(assume(aws))
    assert aws.expire_keys("sts") >= 1 and refused(more, aws, "ExpiredTokenException")
    assert aws.revoke_keys() >= 2 and refused(more, aws, "UnrecognizedClientException")


@pytest.mark.parametrize("keys, said", [
    (("AKIDOTHER", SECRET, None), "InvalidClientTokenId.*security token included in the request is invalid"),
    ((KEY_ID, "wrong", None), "SignatureDoesNotMatch.*does not match"),
    ((KEY_ID, SECRET, "token"), "InvalidClientTokenId")])
def test_assuming_with_bad_keys(aws, keys, said):
    with pytest.raises(ClientError, match=said) as caught:
        assume(aws, keys)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert aws.issued_keys("sts") == [] or aws.calls("AssumeRole")[-1]["code"]


def test_whom_a_role_trusts(aws):
    with pytest.raises(ClientError, match=r"\(AccessDenied\).*not authorized to perform: sts:AssumeRole on resource"):
        assume(aws, RoleArn=ROLE + "x")
    aws.add_role(ROLE, external_id="told", callers=[KEY_ID])
    assert puts(aws, keys_of(assume(aws, ExternalId="told")))
    for wrong in ({}, {"ExternalId": "other"}):
        with pytest.raises(ClientError, match="AccessDenied"):
            assume(aws, **wrong)
    aws.add_role(ROLE, callers=["AKIDOTHER"])
    with pytest.raises(ClientError, match="AccessDenied"):
        assume(aws)


def test_duration_and_chaining(aws):
    aws.add_role(ROLE, max_seconds=7200)
    first = assume(aws, DurationSeconds=7200)
    with pytest.raises(ClientError, match="ValidationError.*exceeds the MaxSessionDuration"):
        assume(aws, DurationSeconds=7201)
    chained = assume(aws, keys_of(first))
    left = (chained["Credentials"]["Expiration"] - datetime.datetime.now(datetime.timezone.utc)).total_seconds()
    assert left <= 3600 and puts(aws, keys_of(chained))
    with pytest.raises(ClientError, match="ValidationError"):
        assume(aws, keys_of(first), DurationSeconds=3601)


def form(standin, headers=(), **members):
    """An unsigned STS call without boto3's own checks: status and body."""
    body = urlencode({"Version": "2011-06-15", **members}).encode()
    request = urllib.request.Request(standin.url + "/", body, dict(headers))
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_web_identity(aws):
    aws.add_role(ROLE, web_tokens={"token one": None, "expired": time.time() - 1})
    members = {"RoleArn": ROLE, "RoleSessionName": "pod", "WebIdentityToken": "token one"}
    unsigned = boto3.client("sts", endpoint_url=aws.url, region_name="us-east-1", config=Config(
        signature_version="unsigned", retries={"total_max_attempts": 1}))
    answer = unsigned.assume_role_with_web_identity(**members)
    assert puts(aws, keys_of(answer)) and answer["SubjectFromWebIdentityToken"]
    assert "WebIdentityToken" not in aws.calls("AssumeRoleWithWebIdentity")[0]["detail"]
    assert aws.calls("AssumeRoleWithWebIdentity")[0]["detail"]["RoleSessionName"] == "pod"
    for token, said in (("expired", "ExpiredTokenException.*Token expired"), ("made up", "InvalidIdentityToken")):
        with pytest.raises(ClientError, match=said):
            unsigned.assume_role_with_web_identity(**{**members, "WebIdentityToken": token})
    with pytest.raises(ClientError, match="AccessDenied.*Not authorized to perform sts:AssumeRoleWithWebIdentity"):
        unsigned.assume_role_with_web_identity(**{**members, "RoleArn": ROLE + "x"})
    status, body = form(aws, [("Authorization", "AWS4-HMAC-SHA256 x")], Action="AssumeRoleWithWebIdentity", **members)
    assert status == 403 and "<Code>SignatureDoesNotMatch</Code>" in body


@pytest.mark.parametrize("members, said", [
    ({"Action": "AssumeRole", "RoleArn": ROLE, "RoleSessionName": "s"}, "MissingAuthenticationToken"),
    ({"Action": "Nothing"}, "InvalidAction"), ({"Action": "AssumeRole", "Version": "2010-01-01"}, "InvalidAction"),
    ({"Action": "AssumeRoleWithWebIdentity", "RoleArn": ROLE, "RoleSessionName": "a b", "WebIdentityToken": "tokn"},
     "ValidationError"),
    ({"Action": "AssumeRoleWithWebIdentity", "RoleArn": ROLE, "WebIdentityToken": "tokn"},
     "Value null at 'roleSessionName' failed to satisfy constraint"),
    ({"Action": "AssumeRoleWithWebIdentity", "RoleArn": ROLE, "RoleSessionName": "one", "WebIdentityToken": "tokn",
      "DurationSeconds": "899"}, "greater than or equal to 900"),
    ({"Action": "AssumeRoleWithWebIdentity", "RoleArn": ROLE, "RoleSessionName": "one", "WebIdentityToken": "tokn",
      "DurationSeconds": "1h"}, "MalformedInput")])
def test_bad_sts_calls(aws, members, said):
    status, body = form(aws, **members)
    assert status in (400, 403) and said in body.replace("&#39;", "'"), body
    assert body.startswith("<ErrorResponse") and "<RequestId>" in body


def test_sts_signature_must_be_whole(aws):
    """botocore signs a call rightly; without one signed header it's no longer good."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    body = urlencode({"Action": "GetCallerIdentity", "Version": "2011-06-15"})
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}

    def send(data, change=lambda signed: signed, region="us-east-1"):
        request = AWSRequest("POST", aws.url + "/", data=body, headers=dict(headers))
        SigV4Auth(Credentials(KEY_ID, SECRET), "sts", region).add_auth(request)
        connection = http.client.HTTPConnection(urlsplit(aws.url).netloc, timeout=5)
        connection.request("POST", "/", data, change(dict(request.headers.items())))
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text
    assert send(body)[0] == 200
    assert "SignatureDoesNotMatch" in send(body + "&x=y")[1]
    status, text = send(body, lambda signed: {k: v for k, v in signed.items() if k != "X-Amz-Date"})
    assert (status, "IncompleteSignature" in text) == (400, True)
    assert "valid region" in send(body, region="eu-west-1")[1]


def test_sts_faults(aws):
    aws.add_fault("throttle", match={"service": "sts"}, count=1)
    with pytest.raises(ClientError, match=r"\(Throttling\).*Rate exceeded"):
        assume(aws)
    aws.add_fault("access_denied", match={"operation": "AssumeRole"}, count=1)
    with pytest.raises(ClientError, match=r"\(AccessDenied\).*sts:AssumeRole"):
        assume(aws)
    aws.add_fault("error", code="IDPCommunicationError", status=400, message="later & more", count=1)
    with pytest.raises(ClientError, match="IDPCommunicationError.*later & more"):
        assume(aws)
    aws.add_fault("rewrite", pattern="<SessionToken>.*</SessionToken>", match={"service": "sts"}, count=1)
    assert "SessionToken" not in assume(aws)["Credentials"]
    assert len([call for call in aws.calls("AssumeRole") if call["rules"]]) == 4
    aws.add_fault("skew", seconds=3600, match={"service": "sts"})
    with pytest.raises(ClientError, match="SignatureDoesNotMatch.*Signature expired"):
        assume(aws)


def test_keys_follow_the_clock_of_their_giver(aws):
    """A skewed STS writes its own time into the expiry, and the services go by it when skewed alike."""
    aws.add_role(ROLE, web_tokens={"token": None})
    aws.add_fault("skew", seconds=-7200)
    unsigned = boto3.client("sts", endpoint_url=aws.url, region_name="us-east-1",
                            config=Config(signature_version="unsigned"))
    made = unsigned.assume_role_with_web_identity(RoleArn=ROLE, RoleSessionName="pod", WebIdentityToken="token")
    assert made["Credentials"]["Expiration"] < datetime.datetime.now(datetime.timezone.utc)
    aws.clear_faults()
    assert refused(keys_of(made), aws, "ExpiredTokenException")


# The instance metadata service


def instance_token(aws):
    status, headers, body = get(aws, "/latest/api/token", "PUT", **TOKEN_TTL)
    assert status == 200 and headers["X-aws-ec2-metadata-token-ttl-seconds"] == "60"
    return {"X-aws-ec2-metadata-token": body.decode()}


def test_botocore_finds_the_instance_role(aws):
    aws.set_instance_role(INSTANCE_ROLE, lifetime=3600)
    fetcher = InstanceMetadataFetcher(timeout=2, num_attempts=1, base_url=aws.url + "/", env={})
    found = InstanceMetadataProvider(fetcher).load().get_frozen_credentials()
    assert puts(aws, (found.access_key, found.secret_key, found.token))
    issued, = aws.issued_keys("imds")
    assert (issued.key_id, issued.role) == (found.access_key, INSTANCE_ROLE)
    asked = [call["operation"] for call in aws.calls() if call["service"] == "imds"]
    assert asked == ["GetToken", "ListRoles", "GetCredentials"]
    assert aws.calls("GetCredentials")[0]["detail"] == {"method": "GET", "path": ROLES + INSTANCE_ROLE}


def test_instance_tokens(aws):
    aws.set_instance_role(INSTANCE_ROLE)
    assert get(aws, ROLES)[0] == 401
    assert get(aws, ROLES, **{"X-aws-ec2-metadata-token": "made up"})[0] == 401
    for bad in ({}, {"X-aws-ec2-metadata-token-ttl-seconds": "21601"}, {"X-aws-ec2-metadata-token-ttl-seconds": "0"}):
        assert get(aws, "/latest/api/token", "PUT", **bad)[0] == 400
    assert get(aws, "/latest/api/token", "PUT", **TOKEN_TTL, **{"X-Forwarded-For": "10.0.0.1"})[0] == 403
    assert get(aws, "/latest/api/token", **TOKEN_TTL)[0] == 405
    token = instance_token(aws)
    assert get(aws, ROLES, **token)[2] == INSTANCE_ROLE.encode()
    assert get(aws, ROLES + INSTANCE_ROLE, **token)[0] == 200 and get(aws, ROLES + "other", **token)[0] == 404
    assert get(aws, "/latest/meta-data/placement/region", **token)[2] == b"us-east-1"
    assert get(aws, "/latest/user-data", **token)[0] == 404
    aws.forget_instance_tokens()
    assert get(aws, ROLES, **token)[0] == 401
    aws.set_instance_role(INSTANCE_ROLE, token_seconds=0.1)
    token = instance_token(aws)
    assert eventually(lambda: get(aws, ROLES, **token)[0] == 401)
    aws.set_instance_role(None)
    assert get(aws, ROLES, **instance_token(aws))[0] == 404


def test_instance_keys_stay_until_near_their_end(aws):
    aws.set_instance_role(INSTANCE_ROLE, lifetime=3600)
    token = instance_token(aws)

    def ask():
        return json.loads(get(aws, ROLES + INSTANCE_ROLE, **token)[2])
    first = ask()
    assert (first["Code"], first["Type"]) == ("Success", "AWS-HMAC") and ask() == first
    aws.rotate_keys()
    second = ask()
    assert second["AccessKeyId"] != first["AccessKeyId"]
    for keys in (first, second):
        assert puts(aws, (keys["AccessKeyId"], keys["SecretAccessKey"], keys["Token"]))
    aws.set_instance_role(INSTANCE_ROLE, lifetime=0.5)
    seen = ask()["AccessKeyId"]
    assert eventually(lambda: ask()["AccessKeyId"] != seen)
    aws.set_instance_role(INSTANCE_ROLE, lifetime=-60, accepted=3600)
    stale = ask()
    assert stale["Expiration"] < time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()) and ask() == stale
    assert puts(aws, (stale["AccessKeyId"], stale["SecretAccessKey"], stale["Token"]))


def test_instance_faults(aws):
    aws.set_instance_role(INSTANCE_ROLE)
    aws.add_fault("hang", match={"operation": "GetToken"}, count=1)
    with pytest.raises(TimeoutError):
        get(aws, "/latest/api/token", "PUT", timeout=0.2, **TOKEN_TTL)
    aws.add_fault("error", code="Forbidden", status=403, match={"operation": "GetToken"}, count=1)
    assert get(aws, "/latest/api/token", "PUT", **TOKEN_TTL)[0] == 403
    token = instance_token(aws)
    aws.add_fault("error", code="Internal", status=500, match={"service": "imds"}, count=1)
    status, headers, body = get(aws, ROLES, **token)
    assert (status, headers["Content-Type"]) == (500, "text/html") and b"Internal" in body
    aws.add_fault("throttle", match={"service": "imds"}, count=1)
    assert get(aws, ROLES, **token)[0] == 503
    aws.add_fault("body", body='{"Code": "Succ', match={"operation": "GetCredentials"}, count=1)
    assert get(aws, ROLES + INSTANCE_ROLE, **token)[2] == b'{"Code": "Succ'
    aws.add_fault("rewrite", pattern='"Success"', match={"operation": "GetCredentials"}, count=1,
                  **{"with": '"AssumeRoleUnauthorizedAccess"'})
    answer = json.loads(get(aws, ROLES + INSTANCE_ROLE, **token)[2])
    assert answer["Code"] == "AssumeRoleUnauthorizedAccess"
    assert json.loads(get(aws, ROLES + INSTANCE_ROLE, **token)[2])["Code"] == "Success"


# The container endpoint


def test_botocore_finds_the_task_role(aws):
    aws.set_container_role(ROLE, lifetime=3600)
    found = ContainerMetadataFetcher().retrieve_full_uri(aws.url + "/v2/credentials/task")
    assert puts(aws, (found["AccessKeyId"], found["SecretAccessKey"], found["Token"]))
    assert (found["RoleArn"], found["AccountId"]) == (ROLE, ACCOUNT) and found["Expiration"].endswith("Z")
    issued, = aws.issued_keys("container")
    assert issued.role == ROLE and [c["detail"]["path"] for c in aws.calls("GetCredentials")] == ["/v2/credentials/task"]


def test_pod_identity_needs_its_token(aws):
    aws.set_container_role(ROLE, authorization="pod token")
    full = aws.url + "/v1/credentials"
    found = ContainerMetadataFetcher().retrieve_full_uri(full, {"Authorization": "pod token"})
    assert puts(aws, (found["AccessKeyId"], found["SecretAccessKey"], found["Token"]))
    assert get(aws, "/v1/credentials")[0] == 400
    status, headers, body = get(aws, "/v1/credentials", Authorization="other")
    assert (status, headers["Content-Type"], json.loads(body)["code"]) == (401, "application/json", "AccessDenied")
    aws.set_container_role(ROLE)
    assert get(aws, "/v1/credentials", Authorization="pod token")[0] == 401
    aws.set_container_role(None)
    assert get(aws, "/v2/credentials/task")[0] == 404
    assert get(aws, "/v2/credentials/task", "PUT")[0] == 405


def test_container_faults(aws):
    aws.set_container_role(ROLE)
    aws.add_fault("throttle", match={"service": "container"}, count=1)
    status, _, body = get(aws, "/v2/credentials/task")
    assert (status, json.loads(body)["code"]) == (429, "TooManyRequests")
    aws.add_fault("rewrite", pattern='"Token": "[^"]*", ', match={"service": "container"}, count=1)
    assert "Token" not in json.loads(get(aws, "/v2/credentials/task")[2])
    aws.add_fault("html", status=500, match={"service": "container"}, count=1)
    assert get(aws, "/v2/credentials/task")[0] == 500
    aws.add_fault("reset", when="before_reading", match={"service": "container"}, count=1)
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        get(aws, "/v2/credentials/task")
    assert get(aws, "/v2/credentials/task")[0] == 200


# The same from another process, more addresses, TLS


def test_control_paths_of_keys(aws):
    arn = ROLE + "/other"
    control(aws, "POST", "roles", {"arn": arn, "lifetime": 900, "external_id": "told"})
    assert puts(aws, keys_of(assume(aws, RoleArn=arn, ExternalId="told")))
    control(aws, "DELETE", f"roles?{urlencode({'arn': arn})}")
    with pytest.raises(ClientError, match="AccessDenied"):
        assume(aws, RoleArn=arn, ExternalId="told")
    control(aws, "POST", "instance", {"role": INSTANCE_ROLE, "lifetime": 900})
    control(aws, "POST", "container", {"role": ROLE, "authorization": "t"})
    token = instance_token(aws)
    assert get(aws, ROLES + INSTANCE_ROLE, **token)[0] == 200
    assert get(aws, "/v1/credentials", Authorization="t")[0] == 200
    shown = control(aws, "GET", "keys?source=imds")["keys"][-1]
    assert shown["role"] == INSTANCE_ROLE and shown["secret"] == aws.issued_keys("imds")[-1].secret
    control(aws, "POST", "keys", {"do": "rotate"})
    control(aws, "POST", "keys", {"do": "forget-tokens"})
    assert get(aws, ROLES, **token)[0] == 401
    assert control(aws, "POST", "keys", {"do": "expire", "source": "imds"})["keys"] >= 1
    assert control(aws, "POST", "keys", {"do": "revoke"})["keys"] >= 2
    for method, path, body in (("POST", "keys", {"do": "sing"}), ("DELETE", "roles?arn=none", None)):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            control(aws, method, path, body)
    with pytest.raises(urllib.error.HTTPError, match="400"):
        control(aws, "POST", "certificate", {"kind": "none"})


def test_more_addresses():
    with StandIn(also_listen=["127.0.0.2:0"]) as standin:
        port = standin.app.control._standin._more[0].port
        connection = http.client.HTTPConnection("127.0.0.2", port, timeout=5)
        connection.request("GET", ROLES)
        assert connection.getresponse().status == 401
        connection.close()


def handshake(standin, context):
    with socket.create_connection(("127.0.0.1", urlsplit(standin.tls_url).port), timeout=5) as plain:
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as secure:
            return secure.version()


def test_certificates_change_while_running(aws):
    trust = ssl.create_default_context(cadata=aws.ca_pem.decode())
    assert handshake(aws, trust) == "TLSv1.3"
    for kind, said in (("wrong-name", "mismatch"), ("expired", "expired"), ("self-signed", "self-signed")):
        aws.set_certificate(kind)
        with pytest.raises(ssl.SSLCertVerificationError, match=said):
            handshake(aws, trust)
    aws.set_certificate("tls-1.1")
    trust.minimum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        handshake(aws, trust)
    old = ssl.create_default_context(cadata=aws.ca_pem.decode())
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        old.minimum_version = ssl.TLSVersion.TLSv1_1
    assert handshake(aws, old) == "TLSv1.1"
    control(aws, "POST", "certificate", {"kind": "good"})

    def good():
        try:
            return handshake(aws, trust) == "TLSv1.3"
        except OSError:
            return False
    assert eventually(good)


def test_redirect_and_endless_answers(aws):
    aws.set_container_role(ROLE)
    aws.add_fault("redirect", location="http://127.0.0.1:1/", count=1)
    status, headers, _ = get(aws, "/v2/credentials/task")
    assert (status, headers["Location"]) == (307, "http://127.0.0.1:1/")
    aws.add_fault("endless", piece=4096, count=1)
    with socket.create_connection(("127.0.0.1", urlsplit(aws.url).port), timeout=5) as sock:
        sock.sendall(b"GET /v2/credentials/task HTTP/1.1\r\nHost: x\r\n\r\n")
        read = 0
        while read < 3_000_000:
            piece = sock.recv(65536)
            assert piece
            read += len(piece)
    assert eventually(lambda: aws.calls("GetCredentials")[-1]["answer"] == "lost")


def test_many_at_once(aws):
    """Keys are given out and used by several threads while others are revoked; nobody gets another's keys."""
    aws.set_container_role(ROLE)
    failures = []

    def work(number):
        try:
            keys = keys_of(assume(aws, RoleSessionName=f"thread-{number}"))
            assert client(aws, "sts", keys).get_caller_identity()["Arn"].endswith(f"/thread-{number}")
            assert puts(aws, keys)
        except Exception as error:
            failures.append(error)
    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
