"""Senders that mean no good: what they get is an answer or a closed connection, what they take is bounded, and others are
served beside them and after them."""
from __future__ import annotations

import contextlib
import gzip
import io
import itertools
import socket
from dataclasses import dataclass
from typing import Iterator

import pytest

import ledger
from client import Answer, Client
from configs import batch, connection, defaults, location, unique
from httpd_server import Httpd, wait_until
from standin import StandIn

JSON = {"Content-Type": "application/json"}
GOOD = b'{"events":[]}'
BODY_MAX = 1 << 20
MIB = 1 << 20
HEAD = b"POST /v2/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
# One child, so that what it takes is seen; threads for every connection that is left half sent, for httpd waits
# for a request's head on a thread.
THREADS = "StartServers 1\nServerLimit 1\nThreadLimit 320\nThreadsPerChild 320\nMaxRequestWorkers 320\n" \
    "MinSpareThreads 1\nMaxSpareThreads 320\nThreadStackSize 262144"
# What httpd says of such requests, at the levels that a test must announce.
HTTPD_SAYS = ("AH00126", "AH00566", "AH01387", "AH01390", "AH02420", "AH02423", "AH02649", "AH00567", "AH01587", "AH01589",
              "AH01590", "AH01600")


@dataclass
class Site:
    server: Httpd
    aws: StandIn

    def post(self, body: bytes, path: str = "/v2/events", headers: dict[str, str] | None = None) -> Answer:
        return self.server.client.request("POST", path, body, {**JSON, **(headers or {})})

    def serves(self) -> None:
        """Somebody else's batch is accepted and delivered."""
        request_id = unique()
        answer = self.post(batch(request_id))
        assert answer.status == 202, answer.body
        ledger.wait_ids(self.aws, [request_id])


@pytest.fixture(scope="module")
def site(module_aws, module_httpd) -> Iterator[Site]:
    server = module_httpd(
        defaults(module_aws.url) + connection("one") + location("/v2/events", "one")
        + location("/received", "received") + connection("received", "KinesisRecordFormat received", stream="received")
        + location("/inflate", "one", lines=("SetInputFilter DEFLATE", )),
        modules=("deflate", "filter"), mpm_lines=THREADS)
    module_aws.add_stream("received")
    server.allow(*HTTPD_SAYS)
    made = Site(server, module_aws)
    made.serves()
    yield made


@pytest.fixture(autouse=True)
def serves_afterwards(request) -> Iterator[None]:
    """The same processes serve after each test, and nothing crashed."""
    if "site" not in request.fixturenames:
        yield
        return
    site = request.getfixturevalue("site")
    before = site.server.children()
    yield
    site.serves()
    assert site.server.children() == before
    assert site.server.cores() == []


def memory(server: Httpd) -> int:
    """The proportional size of all the server's processes, in bytes."""
    total = 0
    for pid in server.processes():
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
            total += sum(int(line.split()[1]) * 1024 for line in rollup if line.startswith("Pss:"))
    return total


@contextlib.contextmanager
def grows_at_most(server: Httpd, limit: int) -> Iterator[None]:
    before = memory(server)
    yield
    grown = memory(server) - before
    assert grown < limit, f"{grown / MIB:.1f} MiB more"


@contextlib.contextmanager
def connections(server: Httpd, count: int) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(server.client.connect()) for _ in range(count)]


class Pipelined:
    """Reads one answer after the other off a stream."""

    def __init__(self, stream: socket.socket) -> None:
        self._file = stream.makefile("rb")

    def makefile(self, _mode: str) -> io.BufferedReader:
        """For http.client, which closes what it reads from."""
        return io.BufferedReader(Kept(self._file), 1)

    def answer(self) -> Answer:
        return Client.answer_on(self)


class Kept(io.RawIOBase):
    """Reads from a file byte by byte, and leaves it open."""

    def __init__(self, file) -> None:
        super().__init__()
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        data = self._file.read(min(len(buffer), 1))
        buffer[:len(data)] = data
        return len(data)


def closed(stream: socket.socket) -> bool:
    """Reads to the end."""
    try:
        while stream.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True


# Slow ones and many

def test_senders_that_trickle_hold_up_nobody(site):
    names = [unique() for _ in range(30)]
    texts = [HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body for body in map(batch, names)]
    with connections(site.server, len(texts)) as streams:
        # In the head, and in the body: so much at once, then byte by byte.
        rests = []
        for i, (stream, text) in enumerate(zip(streams, texts)):
            start = 20 if i % 2 else text.index(b"\r\n\r\n") + 10
            stream.sendall(text[:start])
            rests.append(text[start:])
        for _ in range(8):
            for i, stream in enumerate(streams):
                stream.sendall(rests[i][:1])
                rests[i] = rests[i][1:]
            site.serves()
        for stream, rest in zip(streams, rests):
            stream.sendall(rest)
        assert {Client.answer_on(stream).status for stream in streams} == {202}
    ledger.wait_ids(site.aws, names)


def test_senders_that_trickle_are_ended_by_mod_reqtimeout(aws, httpd):
    server = httpd(defaults(aws.url) + connection("one") + location("/v2/events", "one")
                   + "RequestReadTimeout header=1 body=1\n", modules=("reqtimeout", ))
    server.allow("AH01382")
    body = batch(unique())
    with connections(server, 2) as (in_head, in_body):
        in_head.sendall(HEAD[:30])
        in_body.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body[:-1])
        assert Client.answer_on(in_body).status == 408
        assert closed(in_body) and closed(in_head)
    Site(server, aws).serves()
    assert len(ledger.ids(aws)) == 1


def test_announced_bytes_that_do_not_come_take_no_memory(site):
    with grows_at_most(site.server, 64 * MIB), connections(site.server, 200) as streams:
        for i, stream in enumerate(streams):
            if i % 4:
                stream.sendall(HEAD + b"Content-Length: %d\r\n\r\n{\"events\":[" % BODY_MAX)
            else:
                stream.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffff\r\n{")
        site.serves()


def test_hundreds_of_idle_and_half_sent_requests(site):
    with grows_at_most(site.server, 64 * MIB), connections(site.server, 300) as streams:
        for i, stream in enumerate(streams):
            stream.sendall([b"", b"P", HEAD][i % 3] if i % 6 < 3 else b"")
        for _ in range(3):
            site.serves()


def test_bodies_left_unfinished_are_forgotten(site):
    cut = [unique() for _ in range(20)]
    with grows_at_most(site.server, 64 * MIB):
        for name in cut:
            body = batch(name, padding="x" * 900_000)
            with site.server.client.connect() as stream:
                stream.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % (len(body) + 1) + body)
    site.serves()
    assert not set(cut) & set(ledger.ids(site.aws))


# Heads

def too_many_headers() -> bytes:
    return b"".join(b"X-%d: x\r\n" % i for i in range(5000))


HEADS = {
    "a header of 100 KB": (HEAD + b"X: " + b"x" * 100_000 + b"\r\n\r\n", {400, 431}),
    "5000 headers": (HEAD + too_many_headers() + b"\r\n", {400, 431}),
    "a folded header without end": (HEAD + b"X: x\r\n" + b" x\r\n" * 20_000 + b"\r\n", {400, 431}),
    "an address of 100 KB": (b"POST /v2/events?" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", {414}),
    "a long content type": (HEAD.replace(b"json", b"json; " + b"x=y; " * 1500) + b"Content-Length: 13\r\n\r\n" + GOOD,
                            {202, 415}),
    "a content type of commas": (HEAD.replace(b"json", b"json" + b";,=\"" * 1500) + b"Content-Length: 13\r\n\r\n" + GOOD,
                                 {202, 415}),
    "NUL in a header": (HEAD + b"X: \0\r\nContent-Length: 13\r\n\r\n" + GOOD, {400}),
    "a header without colon": (HEAD + b"nothing\r\n\r\n", {400}),
    "HTTP/9.9": (HEAD.replace(b"1.1", b"9.9") + b"\r\n", {400, 505}),
    "no HTTP at all": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xff" * 500 + b"\r\n\r\n", {400}),
}


@pytest.mark.parametrize("name", HEADS)
def test_heads_that_are_too_much(site, name):
    text, wanted = HEADS[name]
    with site.server.client.connect() as stream:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            stream.sendall(text)
        assert Client.answer_on(stream).status in wanted


# Lengths that lie

LENGTHS = {
    "two lengths": b"Content-Length: 13\r\nContent-Length: 14\r\n\r\n" + GOOD,
    "a list of lengths": b"Content-Length: 13, 14\r\n\r\n" + GOOD,
    "a negative length": b"Content-Length: -13\r\n\r\n" + GOOD,
    "a length with a sign": b"Content-Length: +13\r\n\r\n" + GOOD,
    "a length in hex": b"Content-Length: 0x0d\r\n\r\n" + GOOD,
    "a length of 2^64": b"Content-Length: 18446744073709551616\r\n\r\n" + GOOD,
    "a chunk of no number": b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + GOOD,
    "a negative chunk": b"Transfer-Encoding: chunked\r\n\r\n-d\r\n" + GOOD,
    "a chunk of 2^64": b"Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n" + GOOD,
    "a chunk longer than it says": b"Transfer-Encoding: chunked\r\n\r\n3\r\n" + GOOD + b"\r\n0\r\n\r\n",
    "a line of chunk extensions": b"Transfer-Encoding: chunked\r\n\r\nd;" + b"x=y;" * 20_000 + b"\r\n" + GOOD,
    "an unknown encoding": b"Transfer-Encoding: compressed\r\n\r\n" + GOOD,
}


@pytest.mark.parametrize("name", LENGTHS)
def test_lengths_that_lie_are_refused(site, name):
    with site.server.client.connect() as stream:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            stream.sendall(HEAD + LENGTHS[name])
        assert Client.answer_on(stream).status in (400, 413, 501)
        assert closed(stream)


def test_a_length_of_terabytes_is_refused_at_once(site):
    answer = site.server.client.raw(HEAD + b"Content-Length: 9223372036854775807\r\n\r\n")
    assert answer.status == 413 and answer.error()


def test_chunks_without_end_are_refused_at_the_limit(site):
    with grows_at_most(site.server, 32 * MIB), site.server.client.connect() as stream:
        stream.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            for _ in range(3 * BODY_MAX // 65536):
                stream.sendall(b"10000\r\n" + b" " * 65536 + b"\r\n")
        assert Client.answer_on(stream).status == 413


def test_chunks_of_a_byte(site):
    name = unique()
    body = batch(name)
    text = b"".join(b"1;x\r\n%c\r\n" % byte for byte in body)
    assert site.server.client.raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + text + b"0\r\n\r\n").status == 202
    ledger.wait_ids(site.aws, [name])


def test_trailers_without_end(site):
    text = HEAD + b"Transfer-Encoding: chunked\r\n\r\nd\r\n" + GOOD + b"\r\n0\r\n" + too_many_headers() + b"\r\n"
    with site.server.client.connect() as stream:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            stream.sendall(text)
        assert Client.answer_on(stream).status in (202, 400)


def test_a_length_that_is_too_small_leaves_garbage_that_is_no_request(site):
    name = unique()
    body = batch(name)
    with site.server.client.connect() as stream:
        stream.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body + body + b"\r\n\r\n")
        answers = Pipelined(stream)
        assert [answers.answer().status for _ in range(2)] == [202, 400]
        assert closed(stream)
    ledger.wait_ids(site.aws, [name])
    assert ledger.ids(site.aws).count(name) == 1


def test_pipelined_requests_with_garbage_after_them(site):
    names = [unique() for _ in range(5)]
    texts = [HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body for body in map(batch, names)]
    with site.server.client.connect() as stream:
        stream.sendall(b"".join(texts) + b"\0\xff GARBAGE\r\n\r\n")
        answers = Pipelined(stream)
        assert [answers.answer().status for _ in range(6)] == [202] * 5 + [400]
        assert closed(stream)
    ledger.wait_ids(site.aws, names)


# Bodies

def members(count: int, name: str = "m{}") -> bytes:
    return b",".join(b'"%s":0' % name.format(i).encode() for i in range(count))


def colliding(count: int) -> bytes:
    """Names with one hash under h * 31 + c, as Java's strings have."""
    names = itertools.islice(itertools.product(("Aa", "BB"), repeat=16), count)
    return b",".join(b'"%s":0' % "".join(name).encode() for name in names)


FULL = {
    "100,000 batch members": b'{"mpid":1,' + members(90_000) + b"}",
    "event members": b'{"events":[{"event_type":"x",' + members(90_000) + b"}]}",
    "data members": b'{"events":[{"event_type":"x","data":{' + members(90_000) + b"}}]}",
    "attributes": b'{"mpid":1,"user_attributes":{' + members(90_000) + b"}}",
    "identities": b'{"mpid":1,"user_identities":{' + members(80_000) + b"}}",
    "escaped members": b'{"mpid":1,' + members(60_000, "\\u006d{}") + b"}",
    "colliding members": b'{"mpid":1,' + colliding(25_000) + b"}",
    "colliding data": b'{"events":[{"event_type":"x","data":{' + colliding(25_000) + b"}}]}",
    "deep arrays": b'{"mpid":1,"a":[' + b",".join([b"[" * 60 + b"]" * 60] * 8000) + b"]}",
    "one number": b'{"mpid":1' + b"0" * 1_000_000 + b"}",
    "one string of escapes": b'{"mpid":1,"a":"' + b"\\u0061" * 170_000 + b'"}',
    "blanks": b'{"mpid":1' + b" " * 1_000_000 + b"}",
}


@pytest.mark.parametrize("name", FULL)
def test_a_full_body_arrives_as_it_was_sent(site, name):
    body = FULL[name]
    assert len(body) <= BODY_MAX
    site.aws.reset(["ledger"])
    with grows_at_most(site.server, 128 * MIB):
        answer = site.post(body, "/received")
    assert answer.status == 202, answer.body
    wait_until(lambda: ledger.data(site.aws, "received"), "the record")
    assert ledger.data(site.aws, "received") == [body]


WRONG = {
    "brackets": b"[" * BODY_MAX, "braces": b'{"a":' * 200_000, "an open string": b'{"mpid":"' + b"x" * 1_000_000,
    "open members": b'{"mpid":1,' + members(80_000), "a name twice at last": b'{"mpid":1,' + members(80_000) + b',"m1":1}',
    "zeros": b"\0" * BODY_MAX, "a bad byte at last": b'{"mpid":"' + b"\xc3\xa9" * 500_000 + b'\xff"}',
}


@pytest.mark.parametrize("name", WRONG)
def test_a_full_body_that_is_wrong_is_refused(site, name):
    with grows_at_most(site.server, 128 * MIB):
        answer = site.post(WRONG[name])
    assert answer.status == 400 and answer.error()


def test_events_that_ask_for_large_output_are_bounded(module_aws, httpd):
    server = httpd(defaults(module_aws.url) + connection("single", "KinesisSendAsBatch Off")
                   + location("/v2/events", "single"), mpm_lines=THREADS)
    events = b",".join([b'{"event_type":"x"}'] * 20_000)
    body = b'{"mpid":1,"a":"' + b"x" * 600_000 + b'","events":[' + events + b"]}"
    with grows_at_most(server, 128 * MIB):
        answer = Site(server, module_aws).post(body)
    assert answer.status in (413, 503), (answer.status, answer.body)
    assert Site(server, module_aws).post(GOOD).status == 202


# Bombs

def bomb(inner: bytes, times: int) -> bytes:
    return gzip.compress(b'{"mpid":"' + inner * times, 9)


BOMBS = {
    "64 MB of blanks": gzip.compress(b" " * (64 * MIB), 9), "64 MB in a string": bomb(b"x" * MIB, 64),
    "64 MB of brackets": gzip.compress(b"[" * (64 * MIB), 9),
    "many members": b"".join(gzip.compress(b" " * MIB) for _ in range(64)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_and_not_inflated_whole(site, name):
    with grows_at_most(site.server, 32 * MIB):
        for _ in range(3):
            answer = site.post(BOMBS[name], "/inflate", {"Content-Encoding": "gzip"})
            assert answer.status in (400, 413)


def test_a_bomb_of_the_allowed_size_is_a_body_like_any_other(site):
    site.aws.reset(["ledger"])
    name = unique()
    body = batch(name, padding="x" * 900_000)
    answer = site.post(gzip.compress(body, 9), "/inflate", {"Content-Encoding": "gzip"})
    # httpd's own limit of the ratio may refuse it first.
    assert answer.status in (202, 400, 413)
    if answer.status == 202:
        ledger.wait_ids(site.aws, [name])
