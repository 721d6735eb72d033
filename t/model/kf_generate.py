# SPDX-License-Identifier: Apache-2.0
"""Batches, audience messages and bulks out of a random source: mostly good ones, dense in what the
settings look for, with white space, escapes and odd values everywhere."""
import base64
import json

import kf_model

DEVICE_NAMES = kf_model.KNOWN_BY_DEVICE + ["push_token", "device", "platform"]
IDENTITY_NAMES = kf_model.USER_IDENTITIES + kf_model.KNOWN_BY_DEVICE + ["push_token", "mp_deviceid"]
USER_KEYS = ["customer_id", "customerid", "customerId", "email", "other", "other_id_3", "odd"]
EVENT_TYPES = list(kf_model.EVENT_SWITCH) + ["opt_out", "pre_attribution", "unknown", "soon",
                                             "session_starts", "custom_even", ""]
FIELD_PATHS = ["ip", "device_info.device", "user_attributes", "user_attributes.plan", "context",
               "context.data_plan", "context.location.latitude", "user_identities.email",
               "user_identities.odd.a", "page", "page.a.b", "mpid", "unique_id", "message_id",
               "timestamp_unixtime_ms", "consent_state.gdpr", "device_info.android_uuid"]


def space(rng):
    return rng.choice(("", "", "", "", " ", "\n", "\r\n  ", "\t"))


def string(rng, text):
    """The token of a string; now and then with a character escaped that need not be."""
    out = json.dumps(text, ensure_ascii=rng.random() < 0.5)
    if text and rng.random() < 0.08:
        i = rng.randrange(len(text))
        if ord(text[i]) < 0x10000:
            out = (json.dumps(text[:i])[:-1] + "\\u%04x" % ord(text[i]) +
                   json.dumps(text[i + 1:])[1:])
    return out


def scalar(rng):
    return rng.choice((
        "null", "true", "0", "-0", "0.0", "1", "12.50", "-9223372036854775808", "1E+2", '""', '"0"',
        '"x"', '"caf\u00e9 \\u0000 \\ud83d\\ude00"', '"\\/\\n"', '"9007199254740993"',
        '"00000000-0000-0000-0000-000000000000"', '"\\u0030%s"' % ("0" * 31),
        '"3fb44a79-df2d-446d-acf1-e87eda854ae1"', '"%s"' % ("\u00e9" * 150), "7346244611012968789"))


def join(rng, opening, parts, closing):
    return opening + space(rng) + (space(rng) + "," + space(rng)).join(parts) + space(rng) + closing


def obj(rng, members):
    """An object of (name, text); in any order, rarely with a name twice."""
    members = list(members)
    if rng.random() < 0.7:
        rng.shuffle(members)
    if members and rng.random() < 0.004:
        members.append(rng.choice(members))
    return join(rng, "{", [string(rng, n) + space(rng) + ":" + space(rng) + v for n, v in members],
                "}")


def array(rng, parts):
    return join(rng, "[", list(parts), "]")


def anything(rng, depth=0):
    if depth > 2 or rng.random() < 0.6:
        return scalar(rng)
    if rng.random() < 0.5:
        return array(rng, (anything(rng, depth + 1) for _ in range(rng.randint(0, 3))))
    return obj(rng, ((rng.choice("abcd") + str(i), anything(rng, depth + 1))
                     for i in range(rng.randint(0, 3))))


def some(rng, names, make, most=5):
    names = rng.sample(names, rng.randint(0, min(most, len(names))))
    return obj(rng, ((n, make(rng)) for n in names))


def location(rng):
    return rng.choice(("null", '{"latitude":1.5,"longitude":-0}', "{}", '"here"'))


def data(rng, breadcrumbs=True):
    members = [("event_name", scalar(rng)), ("timestamp_unixtime_ms", "170000000000%d" % rng.randint(0, 9))]
    if rng.random() < 0.5:
        members.append(("location", location(rng)))
    if rng.random() < 0.3:
        members.append(("custom_attributes", some(rng, ["location", "a", "b"], scalar)))
    if breadcrumbs and rng.random() < 0.3:
        members.append(("breadcrumbs", rng.choice((
            anything(rng), array(rng, (event(rng, False) for _ in range(rng.randint(0, 3)))),
            array(rng, (event(rng, False) for _ in range(rng.randint(1, 3))))))))
    return obj(rng, members[rng.randint(0, 1):])


def event(rng, breadcrumbs=True):
    members = [("event_type", string(rng, rng.choice(EVENT_TYPES)))]
    if rng.random() < 0.9:
        members.append(("data", data(rng, breadcrumbs) if rng.random() < 0.95 else anything(rng)))
    if rng.random() < 0.1:
        members.append(("extra", anything(rng)))
    if rng.random() < 0.003:
        members[0] = ("event_type", scalar(rng))
    return obj(rng, members)


def events(rng):
    if rng.random() < 0.12:
        return rng.choice(("null", "[]", "[ ]"))
    return array(rng, (event(rng) for _ in range(rng.choice((1, 1, 1, 2, 3, 5)))))


def identities(rng):
    choice = rng.random()
    if choice < 0.55:
        return some(rng, USER_KEYS, scalar, 4)
    if choice < 0.9:
        return array(rng, (
            anything(rng) if rng.random() < 0.05 else
            obj(rng, (("identity_type", string(rng, rng.choice(USER_KEYS))),
                      ("identity", scalar(rng)), ("timestamp_unixtime_ms", "12"))[rng.randint(0, 1):])
            for _ in range(rng.randint(0, 4))))
    return anything(rng)


MEMBERS = {
    "mpid": scalar, "mp_deviceid": scalar, "user_identities": identities,
    "device_info": lambda rng: some(rng, DEVICE_NAMES, scalar),
    "partner_identities": lambda rng: some(rng, ["P_a", "P_b"], scalar),
    "partner_identity": scalar, "user_attributes": lambda rng: some(rng, ["plan", "$city"], anything),
    "application_info": anything, "source_info": anything, "ip": scalar,
    "context": lambda rng: some(rng, ["data_plan", "location", "x"], lambda r: location(r), 3),
    "consent_state": lambda rng: some(rng, ["gdpr", "location"], anything, 2),
    "message_id": scalar, "message_type": scalar, "schema_version": scalar, "unique_id": scalar,
    "timestamp_unixtime_ms": lambda rng: rng.choice((scalar(rng), "1700000000000", anything(rng))),
    "api_key": scalar, "api_keys": anything, "page": anything, "AudienceId": lambda rng: "null",
    "source_request_id": scalar,
}


def batch(rng):
    names = [n for n in MEMBERS if rng.random() < rng.choice((0.15, 0.4, 0.7))]
    members = [(n, MEMBERS[n](rng)) for n in names]
    if rng.random() < 0.92:
        members.append(("events", events(rng)))
    return obj(rng, members)


def audience(rng):
    names = (["MPID", "CustomerId", "Email", "Other3", "AppleVendorIdentifier", "AndroidId", "odd",
              "customerid", "push_token"] + list(kf_model.AUDIENCE_USER.values())[8:])
    members = [("AudienceId", "123"), ("AudienceName", '"L"'), ("IsMember", "true")]
    if rng.random() < 0.9:
        members.append(("UserIdentities", some(rng, names, scalar) if rng.random() < 0.9
                        else anything(rng)))
    if rng.random() < 0.3:
        members.append((rng.choice(("api_key", "mpid", "device_info", "page")), anything(rng)))
    if rng.random() < 0.1:
        members.append(("events", "null"))
    return obj(rng, members)


def wrapped(rng, text):
    if rng.random() < 0.5:
        text = '"%s"' % base64.b64encode(text.encode()).decode().replace(
            "/", rng.choice(("/", "\\/")))
    record = obj(rng, (("Data", text),))
    return obj(rng, (("Record", record), (rng.choice(("StreamName", "DeliveryStreamName")), '"s"')))


def one(rng):
    text = audience(rng) if rng.random() < 0.15 else batch(rng)
    return wrapped(rng, text) if rng.random() < 0.12 else text


def post(rng):
    if rng.random() < 0.2:
        return space(rng) + array(rng, (one(rng) for _ in range(rng.randint(0, 4)))) + space(rng)
    return space(rng) + one(rng) + space(rng)


def damage(rng, body):
    for _ in range(rng.randint(1, 3)):
        i, n = rng.randrange(len(body) + 1), rng.randint(1, 4)
        body = body[:i] + rng.choice((
            b"", body[i:i + n] * 2, rng.choice((b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\", b"\x00",
                                               b"\xff", b"\xc3\xa9", b"1", b"null", b"\\ud800",
                                               b"\xef\xbb\xbf", b" ")) + body[i:i + n])) + body[i + n:]
    return body


def large_batch(rng, limit):
    """Without white space: sizes are compared to the byte."""
    sizes = [rng.choice((10, 1000, limit // 3, limit // 2, limit - 300, limit - 150, limit))
             for _ in range(rng.randint(1, 5))]
    parts = ['{"event_type":"custom_event","data":{"n":%d,"x":"%s"}}' % (i, "x" * n)
             for i, n in enumerate(sizes)]
    head = '"mpid":5,"message_id":"%s",' % ("m" * rng.choice((0, 5, 36, 60)))
    if rng.random() < 0.3:
        head += '"page":"%s",' % ("p" * rng.choice((1000, limit // 2, limit)))
    return '{%s"events":[%s],"tail":1}' % (head, ",".join(parts))
