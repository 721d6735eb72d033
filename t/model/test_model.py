# SPDX-License-Identifier: Apache-2.0
"""Compares the filters with the model: every setting on and off and in combinations, over the sample
batches and over generated ones.

KF_APPLY names the program (by default the build's), KF_EXTRA_SAMPLES a folder with more samples.
"""
import base64
import json
import os
import pathlib
import random
import re
import subprocess

import pytest
from hypothesis import given, settings, strategies as st

import kf_generate
import kf_model

HERE = pathlib.Path(__file__).resolve().parent
UUID = r'"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"'


def sample_files():
    folders = [HERE.parent / "data" / "samples" / "written"]
    if os.environ.get("KF_EXTRA_SAMPLES"):
        folders.append(pathlib.Path(os.environ["KF_EXTRA_SAMPLES"]))
    return sorted(f for folder in folders for f in folder.rglob("*")
                  if f.name.endswith((".json", ".json.txt")) and f.name != "index.json")


SAMPLES = sample_files()

SINGLE = [{name: {"On": "Off", "Off": "On"}[value]}
          for name, value in kf_model.DEFAULTS.items() if value in ("On", "Off")]
SINGLE += [
    {}, {"KinesisRecordFormat": "received"}, {"KinesisRecordDelimiter": "newline"},
    {"KinesisService": "firehose"}, {"KinesisUniqueId": 'com."example"\\game\u00e9'},
    {"KinesisPartitionKey": "mpid"}, {"KinesisPartitionKey": "device"},
    {"KinesisPartitionKey": "random"}, {"KinesisPartitionKey": "source_request_id"},
    {"KinesisPartitionKey": "events"},
    {"KinesisExcludeFields": "ip device_info.device"},
    {"KinesisExcludeFields": "context.data_plan.plan_id user_attributes mpid"},
    {"KinesisExcludeFields": "message_id message_type timestamp_unixtime_ms unique_id"},
    {"KinesisExcludeFields": "user_identities.email user_attributes.$city device_info.a.b"},
    {"KinesisExcludeIdentities": "customer_id"},
    {"KinesisExcludeIdentities": "email other_id_3 facebook phone_number_2"},
    {"KinesisExcludeIdentities": "mp_deviceid ios_idfv ios_advertising_id android_uuid push_token"},
]
RECEIVED = {"KinesisRecordFormat": "received", "KinesisUniqueId": "u-1"}
SINGLE_EVENTS = {"KinesisSendAsBatch": "Off", "KinesisRecordDelimiter": "newline"}
COMBINED = [{**a, **extra} for a in SINGLE for extra in (RECEIVED, SINGLE_EVENTS)]
NARROW = {name: "Off" for name, value in kf_model.DEFAULTS.items() if value in ("On", "Off")}
COMBINED += [NARROW, {**NARROW, "KinesisSendCustomEvents": "On"},
             {**NARROW, "KinesisSendAnonymousUsers": "On", "KinesisSendCustomEvents": "On"}]


class Program:
    """The program under test, asked again and again."""

    def __init__(self):
        default = os.path.join(os.environ.get("KF_BUILDDIR", "."), "t", "model", "kf_apply")
        self.process = subprocess.Popen([os.environ.get("KF_APPLY", default)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, given_settings, body):
        lines = "".join("%s %s\n" % kv for kv in given_settings.items()).encode()
        self.process.stdin.write(b"%d %d\n" % (len(lines), len(body)) + lines + body)
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@pytest.fixture(scope="module")
def program():
    p = Program()
    yield p
    p.process.stdin.close()
    assert p.process.wait(10) == 0


def assert_key(record, want):
    key = base64.b64decode(record["key"]).decode()
    if want is kf_model.RANDOM_KEY:
        assert re.fullmatch(UUID, '"%s"' % key)
    else:
        assert key == want


def with_ids_of(text, got):
    """The expected text with the fresh id put in that stands there in what came."""
    head, fresh, tail = text.partition(kf_model.FRESH_ID)
    token = got[len(head):len(got) - len(tail)]
    return head + token + tail if fresh and re.fullmatch(UUID, token) else text


def assert_same(got, want):
    """By hand: pytest would take minutes to explain a difference of megabytes."""
    if got != want:
        at = len(os.path.commonprefix([got, want]))
        raise AssertionError("...%s, not ...%s" % (got[max(at - 40, 0):at + 80],
                                                   want[max(at - 40, 0):at + 80]))


def assert_record(record, want, newline, ids):
    data = base64.b64decode(record["data"])
    if newline:
        assert data.endswith(b"\n")
        data = data[:-1]
        assert b"\n" not in data and b"\r" not in data
    got = kf_model.compact(data)
    assert_same(got, with_ids_of(want.text, got))
    if kf_model.FRESH_ID in want.text:
        ids.append(kf_model.parse(data).get("message_id").token)
    assert_key(record, want.key)
    assert (record["kind"], record["events"], record["too_large"]) == (
        want.kind, want.events, int(want.too_large))
    assert record["connection"] == 7 and record["accepted_us"] // 1000 == kf_model.RECEIVED_MS


def compare(program, given_settings, body):
    """@return whether the body was taken"""
    answer = program.ask(given_settings, body)
    try:
        want, stats = kf_model.expect(body, given_settings)
    except kf_model.Bad as bad:
        assert "fault" in answer, "taken, but: %s" % bad
        return False
    assert "fault" not in answer
    ids = []
    assert len(answer["records"]) == len(want)
    for record, expected in zip(answer["records"], want):
        assert_record(record, expected,
                      given_settings.get("KinesisRecordDelimiter") == "newline", ids)
    assert len(set(ids)) == len(ids)
    assert answer["dropped"] == stats["dropped"]
    assert answer["counted"] == {"records": len(want), "events": sum(r.events for r in want)}
    return True


def name_of(value):
    if isinstance(value, pathlib.Path):
        return value.name
    return ",".join("%s=%s" % (k[len("Kinesis"):], v) for k, v in value.items())[:60] or "defaults"


@pytest.mark.parametrize("given_settings", SINGLE + COMBINED, ids=name_of)
def test_samples(program, given_settings):
    taken = 0
    for path in SAMPLES:
        body = path.read_bytes()
        try:
            taken += compare(program, given_settings, body)
        except AssertionError as wrong:
            raise AssertionError("%s: %s" % (path.name, wrong)) from wrong
    assert taken >= 30


def random_settings(rng):
    out = {}
    for _ in range(rng.choice((0, 1, 1, 2, 3, 6))):
        out.update(rng.choice(SINGLE))
    if rng.random() < 0.3:
        names = rng.sample(kf_generate.IDENTITY_NAMES, rng.randint(1, 4))
        out["KinesisExcludeIdentities"] = " ".join(n for n in names)
    if rng.random() < 0.3:
        out["KinesisExcludeFields"] = " ".join(
            rng.sample(kf_generate.FIELD_PATHS, rng.randint(1, 4)))
    return out


@settings(max_examples=1500, derandomize=True, deadline=None, database=None)
@given(seed=st.integers(0, 2**40))
def test_generated(program, seed):
    rng = random.Random(seed)
    compare(program, random_settings(rng), kf_generate.post(rng).encode())


@settings(max_examples=1000, derandomize=True, deadline=None, database=None)
@given(seed=st.integers(0, 2**40))
def test_damaged(program, seed):
    """Bytes changed, left out, doubled: both refuse, or both take it and agree."""
    rng = random.Random(seed)
    body = kf_generate.damage(rng, kf_generate.post(rng).encode())
    compare(program, random_settings(rng), body)


@settings(max_examples=60, derandomize=True, deadline=None, database=None)
@given(seed=st.integers(0, 2**40))
def test_split(program, seed):
    """Batches beyond the services' limits, and at them."""
    rng = random.Random(seed)
    given_settings = {"KinesisService": rng.choice(("streams", "firehose")),
                      "KinesisRecordFormat": rng.choice(("outbound", "received")),
                      "KinesisSendAsBatch": rng.choice(("On", "On", "Off")),
                      "KinesisRecordDelimiter": rng.choice(("none", "newline"))}
    body = kf_generate.large_batch(rng, kf_model.LIMIT[given_settings["KinesisService"]])
    compare(program, given_settings, body.encode())


@pytest.mark.parametrize("off", range(-2, 3))
@pytest.mark.parametrize("service", ["streams", "firehose"])
@pytest.mark.parametrize("delimiter", ["none", "newline"])
def test_limit(program, off, service, delimiter):
    """A batch whose record is the limit, some bytes less, some more."""
    given_settings = {"KinesisService": service, "KinesisRecordDelimiter": delimiter,
                      "KinesisRecordFormat": "received"}
    limit = kf_model.LIMIT[service] + off
    fixed = '{"mpid":12345,"events":[{"event_type":"a"},{"event_type":"%s"}]}'
    extra = (5 if service == "streams" else 0) + (1 if delimiter == "newline" else 0)
    body = fixed % ("x" * (limit - extra - len(fixed) + 2))
    assert compare(program, given_settings, body.encode())
    answer = program.ask(given_settings, body.encode())
    assert len(answer["records"]) == (1 if off <= 0 else 2)
