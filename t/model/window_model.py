# SPDX-License-Identifier: Apache-2.0
"""What should leave the windows, and when: a second implementation of collecting, closing and merging.

Written from the descriptions of windows and sessions, not from the C code, and sharing nothing with
it; JSON comes from kf_model, which keeps tokens. Slow and plain on purpose.
"""
import decimal
import json
import re

from kf_model import Bad, Value, elements, items_of, key_text, CUSTOMER_ID, DEVICE_KEY

DAY_US = 24 * 3600 * 10**6
MOST_PARTS = 128
MOST_REPEATED = 8 * 1024 * 1024


# ---------------------------------------------------------------- values


def session_id(uuid):
    """The hash that makes session_id of session_uuid, as decimal text."""
    upper = "".join(c.upper() if c.isascii() else c for c in uuid)
    h = 0xcbf29ce484222325
    for byte in upper.encode("utf-16-le"):
        h = (h ^ byte) * 0x100000001b3 % 2**64
    return str(h - 2**64 if h >= 2**63 else h)


def time_us(value):
    """A timestamp in microseconds; None where there is no usable one."""
    text = key_text(value)
    if text is None or not re.fullmatch(r"(?=\.?[0-9])[0-9]*\.?[0-9]*(?:[eE][+-]?[0-9]+)?", text):
        return None
    with decimal.localcontext() as context:
        context.prec = 100
        context.Emax = decimal.MAX_EMAX
        context.Emin = decimal.MIN_EMIN
        number = decimal.Decimal(text)
        if number.adjusted() > 20:
            return 2**63 - 1
        if number.adjusted() < -20:
            return None
        number *= 1000 if number >= 10**11 else 10**6
        return min(int(number), 2**63 - 1) or None


def data_of(event):
    data = event.get("data")
    return data if data is not None and data.kind == "{" else Value("{")


def text_of(batch, name):
    return key_text(batch.get(name))


# ---------------------------------------------------------------- keys


def device_key(batch):
    if text_of(batch, "mp_deviceid") is not None:
        return "mp_deviceid", text_of(batch, "mp_deviceid")
    info = batch.get("device_info")
    for name in DEVICE_KEY if info is not None else ():
        if key_text(info.get(name)) is not None:
            return name, key_text(info.get(name))
    if text_of(batch, "mpid") is not None:
        return "mpid", text_of(batch, "mpid")
    ids = batch.get("user_identities")
    pairs = []
    if ids is not None and ids.kind == "{":
        pairs = [(k.string(), v) for k, v in ids.items]
    for e in elements(ids):
        name = e.get("identity_type")
        pairs.append((name.string() if name is not None and name.kind == "s" else "", e.get("identity")))
    for name, value in pairs:
        if key_text(value) is not None:
            return "customer_id" if name in CUSTOMER_ID else name, key_text(value)
    return None


def session_key(event):
    data = data_of(event)
    if key_text(data.get("session_id")) is not None:
        return "id", key_text(data.get("session_id"))
    uuid = data.get("session_uuid")
    if uuid is not None and uuid.kind == "s" and key_text(uuid) is not None:
        return "id", session_id(uuid.string())
    if uuid is not None and uuid.is_null():
        return None  # the Web SDK's word for "after the end of the session"
    if key_text(data.get("session_start_unixtime_ms")) is not None:
        return "start", key_text(data.get("session_start_unixtime_ms"))
    return None


# ---------------------------------------------------------------- one upload


class Part:
    """Some events of an upload: those of one session, or all; session None goes out at once or by
    the batch rule."""

    def __init__(self, session, events):
        self.session = session
        self.events = events
        self.whole = False

    def has(self, event_type):
        return any(e.get("event_type").string() == event_type for e in self.events)

    def began(self):
        """(how well it is known, when)"""
        ranked = []
        for e in self.events:
            happened = time_us(data_of(e).get("timestamp_unixtime_ms"))
            start = time_us(data_of(e).get("session_start_unixtime_ms"))
            if e.get("event_type").string() == "session_start" and happened:
                ranked.append((3, happened))
            elif start:
                ranked.append((2, start))
            elif happened:
                ranked.append((1, happened))
        return best_known(ranked)


def best_known(ranked):
    ranked = [r for r in ranked if r[0] > 0]
    return min(ranked, key=lambda r: (-r[0], r[1]), default=(0, 0))


def by_session(events):
    """(session key or None, events) for each session of an upload; what belongs to none is last."""
    own = [session_key(e) for e in events]
    order = list(dict.fromkeys(k for k in own if k is not None))
    only = order[0] if len(order) == 1 else None
    resolved, before = [], None
    for key in own:
        before = key if key is not None else before
        resolved.append(before if before is not None else only)
    if None in resolved:
        order.append(None)
    return [(key, [e for e, r in zip(events, resolved) if r == key]) for key in order]


def parts_of(batch, kind):
    """The parts, and the device: None sends all at once."""
    events = elements(batch.get("events"))
    device = device_key(batch)
    groups = by_session(events) if kind == "S" and device and events else [(None, events)]
    sessions = [k for k, _ in groups if k is not None]
    if sessions:
        repeated = len(raw_text(batch)) - len(raw_text(batch.get("events")))
        if len(sessions) > MOST_PARTS or (len(sessions) > 1 and
                                          len(sessions) * repeated > MOST_REPEATED):
            groups = [(None, events)]
    return [Part(k, e) for k, e in groups], device


def raw_text(value):
    return value.text().encode("utf-8")


def text_of_part(batch, part, fresh_id):
    out = batch.copy()
    out.drop("api_key")
    out.drop("api_keys")
    if len(part.events) < len(elements(batch.get("events"))):
        out.put("events", Value("[", items=part.events))
        if fresh_id and batch.get("message_id") is not None:
            out.put("message_id", Value("s", json.dumps(fresh_id)))
    return out


# ---------------------------------------------------------------- merging


def without_repeats(things, name_of):
    seen, out = set(), []
    for thing in things:
        name = name_of(thing)
        if name is None or name not in seen:
            out.append(thing)
        seen.add(name)
    return out


def in_order(events):
    times = [time_us(data_of(e).get("timestamp_unixtime_ms")) for e in events]
    if None in times:
        return events
    return [e for _, e in sorted(zip(times, events), key=lambda pair: pair[0])]


def array(upload, name):
    return elements(upload.get(name))


def still_deleted(uploads):
    gone = []
    for upload in uploads:
        attributes = upload.get("user_attributes")
        if attributes is not None and attributes.kind == "{":
            back = {k.string() for k, v in attributes.items if not v.is_null()}
            gone = [g for g in gone if g.kind != "s" or g.string() not in back]
        for g in array(upload, "deleted_user_attributes"):
            if g.kind != "s" or g.string() not in [o.string() for o in gone if o.kind == "s"]:
                gone.append(g)
    return gone


def merge(uploads, message_id):
    """One batch of several; message_id "" leaves what is there."""
    uploads = without_repeats(uploads, lambda u: text_of(u, "source_request_id"))
    single = len(uploads) == 1
    out = Value("{")
    for upload in uploads:
        for key, value in upload.items:
            there = out.get(key.string())
            if there is None:
                out.items.append([key, value])
            elif not value.is_null():
                out.put(key.string(), value)
    for name in out.names():
        if out.get(name).kind != "[":
            continue
        if name == "events":
            events = without_repeats([e for u in uploads for e in array(u, name)],
                                     lambda e: key_text(data_of(e).get("source_message_id")))
            out.put(name, Value("[", items=events if single else in_order(events)))
        elif name == "system_notifications":
            out.put(name, Value("[", items=[n for u in uploads for n in array(u, name)]))
        elif name == "deleted_user_attributes" and not single:
            out.put(name, Value("[", items=still_deleted(uploads)))
    own = out.get("message_id")
    if message_id and not (single and own is not None and not own.is_null()):
        out.put("message_id", Value("s", json.dumps(message_id)))
    return out


# ---------------------------------------------------------------- windows


class Window:
    def __init__(self, key, serial, now):
        self.key = key  # (device, session, mpid, environment)
        self.serial = serial
        self.opened = self.last = now
        self.over = None
        self.began = (0, 0)
        self.uploads = []
        self.requests = set()


class Windows:
    """All windows of one connection. Times are microseconds."""

    def __init__(self, kind, window, timeout, grace, ids):
        self.kind, self.window, self.timeout, self.grace, self.ids = kind, window, timeout, grace, ids
        self.open = {}
        self.opened = self.cuts = 0
        self.left = []  # (at, from a window, text)

    def id_of(self, kind, serial):
        return "%s0000000-0000-4000-8000-%012d" % (kind, serial) if self.ids else ""

    def due(self, w):
        if self.kind == "B":
            return w.opened + self.window
        due = min(w.last + self.timeout, w.opened + DAY_US)
        return due if w.over is None else min(due, w.over + self.grace)

    def close(self, now):
        """Closes what is due."""
        while True:
            ripe = [w for w in self.open.values() if now is None or self.due(w) <= now]
            if not ripe:
                return
            w = min(ripe, key=lambda w: (self.due(w), w.serial))
            del self.open[w.key]
            self.left.append((self.due(w), True,
                              merge(w.uploads, self.id_of("a", w.serial)).text()))

    def post(self, body, now):
        try:
            items = items_of(body)
        except Bad:
            return
        for kind, batch in items:
            if kind == "batch":
                self.upload(batch, now)

    def upload(self, batch, now):
        parts, device = parts_of(batch, self.kind)
        for part in parts:
            self.close(now)
            self.cuts += 1
            text = text_of_part(batch, part, self.id_of("b", self.cuts))
            if device is None or (self.kind == "S" and part.session is None):
                self.left.append((now, False, text.text()))
            else:
                self.collect(batch, part, device, text, now)

    def collect(self, batch, part, device, text, now):
        key = (device, part.session, text_of(batch, "mpid"),
               text_of(batch, "environment") or "production")
        w = self.open.get(key)
        if w is None:
            self.opened += 1
            w = self.open[key] = Window(key, self.opened, now)
            siblings = [o.over for o in self.open.values()
                        if o.key[:2] == key[:2] and o.over is not None]
            if self.kind == "S" and siblings:
                w.over = min(siblings)
        request = text_of(batch, "source_request_id")
        if request is not None and request in w.requests:
            return
        w.requests.add(request)
        w.uploads.append(text)
        w.last = now
        if self.kind == "S":
            w.began = best_known([w.began, part.began()])
            self.end_sessions(w, part, now)

    def end_sessions(self, w, part, now):
        for other in self.open.values():
            if other.over is not None:
                continue
            same = other.key[:2] == w.key[:2]
            if part.has("session_end") and same:
                other.over = now
            if part.has("session_start") and not same and other.key[0] == w.key[0]:
                known, start = other.began, part.began()
                if known[0] == 0 or start[0] == 0 or known[1] <= start[1]:
                    other.over = now


def expect(kind, window, timeout, grace, ids, posts):
    """What leaves for posts [(time, body)] in the order of their times, all closed in the end."""
    windows = Windows(kind, window, timeout, grace, ids)
    for now, body in posts:
        windows.post(body, now)
    windows.close(None)
    return windows.left
