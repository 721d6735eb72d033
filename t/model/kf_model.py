# SPDX-License-Identifier: Apache-2.0
"""What should come out of a body under given settings: a second implementation of the rules.

Written from the descriptions of the HTTP surface, the record and the event batch, not from the C
code, and sharing nothing with it. It keeps each token's text, so that numbers, escapes and the order
of members can be compared exactly; white space between tokens is not modelled. It is slow, plain and
recursive on purpose.
"""
import base64
import binascii
import json
import re

RECEIVED_MS = 1700000000123
MAX_DEPTH = 64
LIMIT = {"streams": 1024 * 1024, "firehose": 1000 * 1024}
FRESH_ID = '"\x00fresh id\x00"'  # stands for a new UUID in quotes; as long as one when measured
RANDOM_KEY = "\x00random key\x00"


class Bad(Exception):
    """The post is refused."""


# ---------------------------------------------------------------- JSON with its tokens


class Value:
    """A value: `kind` is one of { [ s n l; a scalar has its token, a container its children."""

    def __init__(self, kind, token="", items=None):
        self.kind = kind
        self.token = token
        self.items = items if items is not None else []  # of {: [key Value, Value]; of [: Value
        self.unescaped = None

    def text(self):
        if self.kind == "{":
            return "{" + ",".join(k.token + ":" + v.text() for k, v in self.items) + "}"
        if self.kind == "[":
            return "[" + ",".join(v.text() for v in self.items) + "]"
        return self.token

    def string(self):
        if self.unescaped is None:
            self.unescaped = json.loads(self.token)
        return self.unescaped

    def is_null(self):
        return self.token == "null"

    def copy(self):
        if self.kind == "{":
            return Value("{", items=[[k, v.copy()] for k, v in self.items])
        if self.kind == "[":
            return Value("[", items=[v.copy() for v in self.items])
        return self

    def names(self):
        return [k.string() for k, _ in self.items]

    def get(self, name):
        """The member's value; None where there is none or this is no object."""
        if self.kind == "{":
            for k, v in self.items:
                if k.string() == name:
                    return v
        return None

    def drop(self, name):
        if self.kind == "{":
            self.items = [kv for kv in self.items if kv[0].string() != name]

    def put(self, name, value):
        """Replaces in place, or appends."""
        for kv in self.items:
            if kv[0].string() == name:
                kv[1] = value
                return
        self.items.append([Value("s", json.dumps(name)), value])


SPACE = re.compile(r"[ \t\r\n]*")
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
STRING = re.compile(r'"[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*"')
SURROGATE = re.compile(r"\\\\|\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})"
                       r"|(\\u[dD][89a-fA-F])")


class Parser:
    def __init__(self, text):
        self.text = text
        self.at = 0

    def space(self):
        self.at = SPACE.match(self.text, self.at).end()

    def peek(self):
        self.space()
        return self.text[self.at:self.at + 1]

    def take(self, pattern):
        m = pattern.match(self.text, self.at)
        if not m:
            raise Bad("not JSON")
        self.at = m.end()
        return m.group()

    def expect(self, c):
        if self.peek() != c:
            raise Bad("not JSON")
        self.at += 1

    def string(self):
        self.space()
        token = self.take(STRING)
        if "\\u" in token and any(m.group(3) for m in SURROGATE.finditer(token)):
            raise Bad("lone surrogate")
        return Value("s", token)

    def value(self, depth):
        c = self.peek()
        if c in ("{", "["):
            if depth == MAX_DEPTH:
                raise Bad("depth")
            return self.container(c, "}" if c == "{" else "]", depth + 1)
        if c == '"':
            return self.string()
        for word in ("true", "false", "null"):
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return Value("l", word)
        return Value("n", self.take(NUMBER))

    def container(self, opening, closing, depth):
        self.expect(opening)
        out = Value(opening)
        if self.peek() == closing:
            self.at += 1
            return out
        while True:
            if opening == "{":
                key = self.string()
                self.expect(":")
                out.items.append([key, self.value(depth)])
            else:
                out.items.append(self.value(depth))
            if self.peek() == closing:
                self.at += 1
                return out
            self.expect(",")


def parse(data):
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Bad("UTF-8") from None
    p = Parser(text)
    out = p.value(0)
    p.space()
    if p.at != len(text):
        raise Bad("trailing bytes")
    return out


def compact(data):
    """The same text without white space between tokens; for what the program wrote."""
    return parse(data).text()


# ---------------------------------------------------------------- the HTTP surface: 400 or items

BATCH_MEMBERS = ["events", "mpid", "mp_deviceid", "user_identities", "user_attributes",
                 "deleted_user_attributes", "device_info", "consent_state"]


def once(value):
    """No member name twice, where value is an object."""
    if value is not None and value.kind == "{" and len(set(value.names())) != len(value.items):
        raise Bad("a name twice")


def elements(value):
    return value.items if value is not None and value.kind == "[" else []


def check_event(event):
    if event.kind != "{":
        raise Bad("an event is no object")
    once(event)
    event_type = event.get("event_type")
    if event_type is None or event_type.kind != "s":
        raise Bad("no event_type")
    data = event.get("data")
    once(data)
    if data is not None:
        for crumb in elements(data.get("breadcrumbs")):
            once(crumb)
            once(crumb.get("data"))


def check_batch(batch):
    once(batch)
    for name in ("user_identities", "partner_identities", "device_info", "context"):
        once(batch.get(name))
    for element in elements(batch.get("user_identities")):
        once(element)
    events = batch.get("events")
    if events is not None and not events.is_null() and events.kind != "[":
        raise Bad("events")
    for event in elements(events):
        check_event(event)


def is_audience(value):
    audience, events = value.get("AudienceId"), value.get("events")
    return audience is not None and not audience.is_null() and (events is None or events.is_null())


def is_batch(value):
    return any(value.get(name) is not None for name in BATCH_MEMBERS)


def item_of(value, wrapped=False):
    if value.kind != "{":
        raise Bad("no object")
    dt = value.get("dt")
    if dt is not None and dt.kind == "s" and dt.string() == "h" and value.get("msgs") is not None:
        raise Bad("native SDK format")
    if is_audience(value):
        once(value)
        once(value.get("UserIdentities"))
        return "audience", value
    if is_batch(value):
        check_batch(value)
        return "batch", value
    record = value.get("Record")
    data = record.get("Data") if record is not None else None
    if wrapped or data is None:
        raise Bad("neither batch nor audience message")
    if value.names().count("Record") > 1 or record.names().count("Data") > 1:
        raise Bad("which of them?")
    if data.kind == "s":
        try:
            data = parse(base64.b64decode(data.string().encode("utf-8", "surrogatepass"), validate=True))
        except binascii.Error:
            raise Bad("base64") from None
    return item_of(data, wrapped=True)


def items_of(body):
    top = parse(body)
    if top.kind == "[":
        if not top.items:
            raise Bad("empty array")
        return [item_of(v) for v in top.items]
    return [item_of(top)]


# ---------------------------------------------------------------- settings

DEFAULTS = {
    "KinesisSendAnonymousUsers": "On", "KinesisSendLifecycleEvents": "On",
    "KinesisSendScreenViews": "On", "KinesisSendCrashEvents": "On",
    "KinesisSendNetworkPerformanceEvents": "On", "KinesisSendCustomEvents": "On",
    "KinesisSendPushRegistrationsAndReceipts": "On", "KinesisSendAsBatch": "On",
    "KinesisWaitForCompleteBatch": "Off", "KinesisIncludeLocationInformation": "On",
    "KinesisIncludeUserIdentities": "On", "KinesisSendProfileChangeEvents": "On",
    "KinesisSendCommerceEvents": "On", "KinesisIncludeMetadata": "On",
    "KinesisIncludeUserAttributeChangeEvents": "Off",
    "KinesisIncludeUserIdentityChangeEvents": "Off", "KinesisUniqueId": "none",
    "KinesisService": "streams", "KinesisPartitionKey": "auto", "KinesisRecordFormat": "outbound",
    "KinesisRecordDelimiter": "none", "KinesisSendOtherEvents": "On",
    "KinesisSendValidationResults": "Off", "KinesisSendBatchesWithoutEvents": "On",
    "KinesisIncludeMPDeviceId": "On", "KinesisIncludeEventBatchLocation": "On",
    "KinesisIncludeConsentState": "On", "KinesisExcludeFields": "none",
    "KinesisExcludeIdentities": "none",
}

EVENT_SWITCH = {
    "session_start": "KinesisSendLifecycleEvents", "session_end": "KinesisSendLifecycleEvents",
    "application_state_transition": "KinesisSendLifecycleEvents",
    "first_run": "KinesisSendLifecycleEvents", "uninstall": "KinesisSendLifecycleEvents",
    "screen_view": "KinesisSendScreenViews", "crash_report": "KinesisSendCrashEvents",
    "breadcrumb": "KinesisSendCrashEvents",
    "network_performance": "KinesisSendNetworkPerformanceEvents",
    "custom_event": "KinesisSendCustomEvents",
    "push_registration": "KinesisSendPushRegistrationsAndReceipts",
    "push_message": "KinesisSendPushRegistrationsAndReceipts",
    "push_reaction": "KinesisSendPushRegistrationsAndReceipts",
    "profile": "KinesisSendProfileChangeEvents", "commerce_event": "KinesisSendCommerceEvents",
    "user_attribute_change": "KinesisIncludeUserAttributeChangeEvents",
    "user_identity_change": "KinesisIncludeUserIdentityChangeEvents",
    "validation_result": "KinesisSendValidationResults",
}

AUDIENCE_USER = {
    "customer_id": "CustomerId", "email": "Email", "other": "Other", "facebook": "FacebookId",
    "twitter": "TwitterId", "google": "GoogleId", "microsoft": "MicrosoftId", "yahoo": "YahooId",
    **{"other_id_%d" % i: "Other%d" % i for i in range(2, 11)},
}
AUDIENCE_DEVICE = {
    "android_uuid": "AndroidId", "ios_advertising_id": "AppleAdvertisingIdentifier",
    "ios_idfv": "AppleVendorIdentifier", "android_advertising_id": "GoogleAdvertisingIdentifier",
    "roku_advertising_id": "RokuAdvertisingIdentifier",
    "roku_publisher_id": "RokuPublisherIdentifier",
    "fire_advertising_id": "FireAdvertisingIdentifier",
    "microsoft_advertising_id": "MicrosoftAdvertisingIdentifier",
}
KNOWN_BY_DEVICE = ["android_uuid", "ios_advertising_id", "ios_idfv", "android_advertising_id",
                   "roku_advertising_id", "roku_publisher_id", "fire_advertising_id",
                   "microsoft_advertising_id", "microsoft_publisher_id", "amp_id"]
USER_IDENTITIES = list(AUDIENCE_USER) + ["alias", "facebook_custom_audience_id", "mobile_number",
                                         "phone_number_2", "phone_number_3"]
CUSTOMER_ID = ["customer_id", "customerid", "customerId"]
DEVICE_KEY = ["ios_idfv", "ios_advertising_id", "android_advertising_id", "android_uuid",
              "fire_advertising_id", "roku_publisher_id", "roku_advertising_id",
              "microsoft_advertising_id", "amp_id", "push_token"]


class Settings:
    def __init__(self, given):
        self.all = {**DEFAULTS, **given}

    def on(self, name):
        return self.all["Kinesis" + name] == "On"

    def word(self, name):
        return self.all["Kinesis" + name]

    def words(self, name):
        text = self.all["Kinesis" + name]
        return [] if text == "none" else text.split(" ")

    def excluded_users(self):
        out = set()
        for name in self.words("ExcludeIdentities"):
            out.update(CUSTOMER_ID if name in CUSTOMER_ID else
                       [name] if name in USER_IDENTITIES else [])
        return out

    def excluded_devices(self):
        return {n for n in self.words("ExcludeIdentities")
                if n in KNOWN_BY_DEVICE or n in ("push_token", "mp_deviceid")}

    def removed_paths(self):
        """What is left out of every batch, as paths through objects."""
        out = [["api_key"], ["api_keys"]]
        if not self.on("IncludeMetadata"):
            out += [["application_info"], ["device_info"], ["source_info"]]
        if not self.on("IncludeUserIdentities"):
            out += [["user_identities"], ["partner_identities"], ["partner_identity"]]
        if not self.on("IncludeConsentState"):
            out.append(["consent_state"])
        if not self.on("IncludeMPDeviceId"):
            out.append(["mp_deviceid"])
        if not self.on("IncludeLocationInformation") or not self.on("IncludeEventBatchLocation"):
            out.append(["context", "location"])
        out += [["user_identities", n] for n in self.excluded_users()]
        out += [["mp_deviceid"] if n == "mp_deviceid" else ["device_info", n]
                for n in self.excluded_devices()]
        return out + [path.split(".") for path in self.words("ExcludeFields")]


# ---------------------------------------------------------------- anonymity

ZERO_GUIDS = ("00000000-0000-0000-0000-000000000000", "0" * 32)


def usable(value):
    return value is not None and value.token not in ("null", '""')


def zero_guid(value):
    return value.kind == "s" and value.string() in ZERO_GUIDS


def any_usable(value):
    if value is None:
        return False
    if value.kind == "{":
        return any(usable(v) for _, v in value.items)
    return any(usable(e.get("identity")) for e in elements(value))


def batch_anonymous(batch):
    if any_usable(batch.get("user_identities")) or any_usable(batch.get("partner_identities")):
        return False
    if usable(batch.get("partner_identity")):
        return False
    info = batch.get("device_info")
    for name in KNOWN_BY_DEVICE if info is not None else []:
        value = info.get(name)
        if usable(value) and not zero_guid(value):
            return False
    return True


def audience_anonymous(message):
    ids = message.get("UserIdentities")
    if ids is None or ids.kind != "{":
        return False
    for key, value in ids.items:
        name = key.string()
        device = name in AUDIENCE_DEVICE.values() or name in KNOWN_BY_DEVICE
        if name in ("MPID", "push_token", "mp_deviceid") or not usable(value):
            continue
        if not (device and zero_guid(value)):
            return False
    return True


# ---------------------------------------------------------------- partition keys


def key_text(value):
    """The text of a value that is present, None otherwise."""
    if value is None:
        return None
    if value.kind == "n":
        return value.token if re.search("[1-9]", re.split("[eE]", value.token)[0]) else None
    if value.kind == "s":
        text = value.string()
        return None if text in ("", "0") or text in ZERO_GUIDS else text
    return None


def fnv(text):
    h = 0xcbf29ce484222325
    for byte in text.encode("utf-8"):
        h = (h ^ byte) * 0x100000001b3 % 2**64
    return "%016x" % h


def cut(text):
    return text[:256]


def batch_key(batch, s):
    removed = s.removed_paths()

    def candidate(value, *path):
        """The value's key; one that the records do not show leaves as a hash."""
        text = key_text(value)
        if text is None:
            return None
        return fnv(text) if any(list(path[:i]) in removed for i in range(1, len(path) + 1)) else cut(text)

    def mpid():
        return candidate(batch.get("mpid"), "mpid")

    def user_identity():
        ids = batch.get("user_identities")
        if ids is None:
            return None
        if ids.kind == "{":
            found = [candidate(v, "user_identities", k.string()) for k, v in ids.items]
        else:
            found = []
            for e in elements(ids):
                kind = e.get("identity_type")
                name = kind.string() if kind is not None and kind.kind == "s" else ""
                text = key_text(e.get("identity"))
                if text is not None:
                    hidden = ["user_identities"] in removed or name in s.excluded_users()
                    found.append(fnv(text) if hidden else cut(text))
        return next((f for f in found if f is not None), None)

    def device():
        info = batch.get("device_info")
        found = [candidate(batch.get("mp_deviceid"), "mp_deviceid")]
        found += [candidate(info.get(n), "device_info", n) for n in DEVICE_KEY if info is not None]
        found += [mpid(), user_identity()]
        return next((f for f in found if f is not None), None)

    choice = s.word("PartitionKey")
    key = {"auto": lambda: mpid() or device(), "mpid": mpid, "device": device,
           "random": lambda: None}.get(choice, lambda: candidate(batch.get(choice), choice))()
    return RANDOM_KEY if key is None else key


def audience_key(message, s):
    ids = message.get("UserIdentities")
    mpid = key_text(ids.get("MPID")) if ids is not None else None
    customer = key_text(ids.get("CustomerId")) if ids is not None else None
    if mpid is not None:
        return cut(mpid)
    if customer is not None:
        return fnv(customer) if "customer_id" in s.excluded_users() else cut(customer)
    return RANDOM_KEY


# ---------------------------------------------------------------- records


class Record:
    def __init__(self, kind, text, key, events, limit, newline):
        self.kind = kind
        self.text = text  # compact, FRESH_ID in it
        self.key = key
        self.events = events
        self.too_large = size(text, key, newline) > limit


def size(text, key, newline):
    fresh = text.count(FRESH_ID) * (38 - len(FRESH_ID))
    return (len(text.encode("utf-8")) + fresh + (1 if newline else 0) +
            (36 if key is RANDOM_KEY else len(key.encode("utf-8"))))


def keeps(event, s):
    name = event.get("event_type").string()
    if name == "opt_out":
        return True
    return s.on(EVENT_SWITCH.get(name, "KinesisSendOtherEvents")[len("Kinesis"):])


def remove_path(value, path):
    if len(path) == 1:
        value.drop(path[0])
    elif value.get(path[0]) is not None:
        remove_path(value.get(path[0]), path[1:])


def strip_location(event):
    data = event.get("data")
    if data is None:
        return
    data.drop("location")
    for crumb in elements(data.get("breadcrumbs")):
        if crumb.get("data") is not None:
            crumb.get("data").drop("location")


def strip(batch, s):
    for path in s.removed_paths():
        remove_path(batch, path)
    ids = batch.get("user_identities")
    if ids is not None and ids.kind == "[":
        gone = s.excluded_users()
        ids.items = [e for e in ids.items
                     if not (e.get("identity_type") is not None and e.get("identity_type").kind == "s"
                             and e.get("identity_type").string() in gone)]
    if not s.on("IncludeLocationInformation"):
        for event in elements(batch.get("events")):
            strip_location(event)


def envelope(batch):
    """The outbound form, but for message_id."""
    time = batch.get("timestamp_unixtime_ms")
    if time is None or time.kind not in "sn" or len(time.token.encode()) > 64:
        time = Value("n", str(RECEIVED_MS))
    ids = batch.get("user_identities")
    if ids is not None and ids.kind == "{":
        rows = []
        for key, value in ids.items:
            if usable(value):
                rows.append(Value("{", items=[[Value("s", '"identity_type"'), key],
                                              [Value("s", '"identity"'), value],
                                              [Value("s", '"timestamp_unixtime_ms"'), time]]))
        batch.put("user_identities", Value("[", items=rows))
    for name, value in (("message_id", Value("s", FRESH_ID)), ("message_type", Value("s", '"events"')),
                        ("schema_version", Value("n", "2")),
                        ("timestamp_unixtime_ms", Value("n", str(RECEIVED_MS)))):
        if batch.get(name) is None or batch.get(name).is_null():
            batch.put(name, value)


def with_events(batch, events, fresh):
    out = batch.copy()
    if events is not None:
        out.put("events", Value("[", items=events))
    if fresh:
        out.put("message_id", Value("s", FRESH_ID))
    return out.text()


def split(batch, events, fresh, fits):
    """Greedily, in order, and two at least."""
    parts, run = [], []
    for i, event in enumerate(events):
        last_chance = not parts and i == len(events) - 1
        if run and (last_chance or not fits(with_events(batch, run + [event], fresh))):
            parts.append(run)
            run = []
        run.append(event)
    return parts + [run]


def batch_records(batch, s, stats):
    newline = s.word("RecordDelimiter") == "newline"
    limit = LIMIT[s.word("Service")]
    if not s.on("SendAnonymousUsers") and batch_anonymous(batch):
        stats["dropped"][1] += 1
        return []
    came = elements(batch.get("events"))
    if not came and not s.on("SendBatchesWithoutEvents"):
        stats["dropped"][2] += 1
        return []
    key = "" if s.word("Service") == "firehose" else batch_key(batch, s)
    batch = batch.copy()
    if came:
        events = batch.get("events")
        events.items = [e for e in events.items if keeps(e, s)]
        stats["dropped"][0] += len(came) - len(events.items)
        if not events.items:
            stats["dropped"][3] += 1
            return []
    strip(batch, s)
    outbound = s.word("RecordFormat") == "outbound"
    if outbound:
        envelope(batch)
    if s.word("UniqueId") != "none":
        batch.put("unique_id", Value("s", json.dumps(s.word("UniqueId"), ensure_ascii=False)))

    def fits(text):
        return size(text, key, newline) <= limit

    def record(events, fresh):
        return Record(0, with_events(batch, events, fresh), key, len(events or []), limit, newline)

    kept = batch.get("events").items if came else None
    several = kept is not None and len(kept) > 1
    if several and not s.on("SendAsBatch") and not s.on("WaitForCompleteBatch"):
        return [record([e], outbound) for e in kept]
    if (not several or fits(with_events(batch, kept, False)) or
            not fits(with_events(batch, [], False))):
        return [record(kept, False)]
    return [record(part, outbound) for part in split(batch, kept, outbound, fits)]


def audience_records(message, s, stats):
    if not s.on("SendAnonymousUsers") and audience_anonymous(message):
        stats["dropped"][1] += 1
        return []
    newline = s.word("RecordDelimiter") == "newline"
    key = "" if s.word("Service") == "firehose" else audience_key(message, s)
    message = message.copy()
    message.drop("api_key")
    message.drop("api_keys")
    ids = message.get("UserIdentities")
    both = {**AUDIENCE_USER, **AUDIENCE_DEVICE}
    for name in (s.excluded_users() | s.excluded_devices()) if ids is not None else ():
        ids.drop(name)
        ids.drop(both.get(name, name))
    return [Record(1, message.text(), key, 0, LIMIT[s.word("Service")], newline)]


def expect(body, given):
    """The records of a body under settings {directive: text}. Raises Bad where it is a 400."""
    s = Settings(given)
    stats = {"dropped": [0, 0, 0, 0]}
    out = []
    for kind, value in items_of(body):
        out += (batch_records if kind == "batch" else audience_records)(value, s, stats)
    return out, stats
