# SPDX-License-Identifier: Apache-2.0
"""Signatures of random requests, byte for byte as botocore's."""
from __future__ import annotations

import random
import string

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

REQUESTS = 1500
REGIONS = ["us-east-1", "eu-central-2", "cn-north-1", "us-gov-west-1", "ap-southeast-7", "eusc-de-east-1"]
SERVICES = ["kinesis", "firehose", "sts"]
PATH_ALPHABET = string.ascii_letters + string.digits + "-._~!$&'()*+,;=:@% \"<>{}|^`" + "é漢😀ሴ"
VALUE_ALPHABET = string.ascii_letters + string.digits + "-._~!$&'()*+,;=:@%\"<>{}|^`/?#[]" + "é漢😀ሴ" + "  \t"
UNRESERVED = string.ascii_letters + string.digits + "-._~"


def text(rng: random.Random, alphabet: str, longest: int) -> str:
    return "".join(rng.choice(alphabet) for _ in range(rng.randint(0, longest)))


def random_path(rng: random.Random) -> str:
    segments = []
    for _ in range(rng.randint(0, 6)):
        segments.append(rng.choice(["", ".", "..", "a", text(rng, PATH_ALPHABET, 12)]))
    return "/" + "/".join(segments)


def random_query(rng: random.Random) -> str:
    """Encoded already, as a request holds it."""

    def encoded(longest: int) -> str:
        return "".join(rng.choice([rng.choice(UNRESERVED), f"%{rng.randint(0, 255):02X}"]) for _ in range(longest))

    if rng.random() < 0.4:
        return ""
    names = [encoded(rng.randint(1, 5)) for _ in range(rng.randint(1, 5))]
    return "&".join(f"{rng.choice(names)}={encoded(rng.randint(0, 6))}" for _ in range(rng.randint(1, 8)))


def random_headers(rng: random.Random) -> list[tuple[str, str]]:
    headers = [("Content-Type", "application/x-amz-json-1.1"), ("X-Amz-Target", "Kinesis_20131202.PutRecords")]
    names = ["X-" + text(rng, string.ascii_letters + string.digits + "-_", 10) + "z" for _ in range(4)]
    for _ in range(rng.randint(0, 6)):
        name = rng.choice(names)
        name = rng.choice([name, name.lower(), name.upper()])
        headers.append((name, text(rng, VALUE_ALPHABET, 30)))
    rng.shuffle(headers)
    return headers


def random_date(rng: random.Random) -> str:
    return (
        f"{rng.randint(2015, 2035)}{rng.randint(1, 12):02}{rng.randint(1, 28):02}"
        f"T{rng.randint(0, 23):02}{rng.randint(0, 59):02}{rng.randint(0, 59):02}Z"
    )


def random_question(rng: random.Random) -> dict:
    return {
        "ask": "sign",
        "id": "AKIA" + text(rng, string.ascii_uppercase, 16),
        "secret": "s" + text(rng, string.ascii_letters + string.digits + "/+=", 60),
        "token": rng.choice([None, "t" + text(rng, string.ascii_letters + string.digits + "/+=", 400)]),
        "region": rng.choice(REGIONS),
        "service": rng.choice(SERVICES),
        "date": random_date(rng),
        "method": rng.choice(["POST", "GET", "PUT"]),
        "host": rng.choice(["kinesis.us-east-1.amazonaws.com", "localhost:4567", "[::1]:8080", "127.0.0.1"]),
        "path": random_path(rng),
        "query": random_query(rng),
        "sent": random_headers(rng),
        "body": rng.choice(["", "{}", text(rng, VALUE_ALPHABET + "\0\n", 200)]),
    }


def by_botocore(question: dict) -> dict:
    """What botocore signs; adds the headers that it signed to the question."""
    url = f"http://{question['host']}{question['path']}"
    if question["query"]:
        url += "?" + question["query"]
    request = AWSRequest(method=question["method"], url=url, data=question["body"].encode())
    for name, value in question["sent"]:
        request.headers.add_header(name, value)
    auth = SigV4Auth(
        Credentials(question["id"], question["secret"], question["token"]), question["service"], question["region"]
    )
    request.context["timestamp"] = question["date"]
    auth._modify_request_before_signing(request)
    canonical = auth.canonical_request(request)
    to_sign = auth.string_to_sign(request, canonical)
    signature = auth.signature(to_sign, request)
    auth._inject_signature_to_request(request, signature)
    question["headers"] = [[n, v] for n, v in request.headers.items() if n != "Authorization"]
    question["headers"].append(["Host", question["host"]])
    return {"canonical": canonical, "to_sign": to_sign, "authorization": request.headers["Authorization"]}


def test_random_requests(ask) -> None:
    rng = random.Random(20261122)
    questions = [random_question(rng) for _ in range(REQUESTS)]
    wanted = [by_botocore(question) for question in questions]
    for question, want, got in zip(questions, wanted, ask(questions)):
        assert got == want, question
