"""A lean HTTP/1.1 server on asyncio: keep-alive, one request at a time per connection, and replies that may be
late, slow, cut short, endless or reset, as their Reply says."""
from __future__ import annotations

import asyncio
import select
import socket
import ssl
import struct
from dataclasses import dataclass, field
from http.client import responses
from time import monotonic
from typing import Any, Callable, Protocol

HEAD_LIMIT = 64 * 1024
SCRATCH_BYTES = 64 * 1024
BODY_LIMIT = 32 * 1024 * 1024
BACKLOG = 1024
UNREAD_LIMIT = 1024 * 1024
ENDLESS_PAUSE = 0.001
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Request:
    method: str
    path: str
    headers: list[tuple[str, str]]
    length: int
    keep_alive: bool
    connection: int
    body: bytearray = field(default_factory=bytearray)
    context: Any = None

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")


@dataclass(slots=True)
class Reply:
    """A reply and the manner of sending it; `done(delivered)` is called once, when its fate is known, and `unread()`
    when it turns out that the client closed its end before it had read all of what was taken for delivered."""
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    piece: int = 0
    piece_delay: float = 0.0
    cut: float | None = None
    end: str = "keep"
    lost: bool = False
    endless: bool = False
    done: Callable[[bool], None] | None = None
    unread: Callable[[], None] | None = None

    def encode(self) -> bytes:
        lines = [f"HTTP/1.1 {self.status} {responses.get(self.status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.end == "close":
            lines.append("Connection: close")
        lines.append("\r\n" if self.endless else f"Content-Length: {len(self.body)}\r\n\r\n")
        whole = "\r\n".join(lines).encode("latin-1") + self.body
        return whole if self.cut is None else whole[:cut_position(self.cut, len(whole))]


class Application(Protocol):
    """What the server asks of its application."""

    def head(self, request: Request) -> float | None:
        """Called when the head has arrived: reset after this fraction of the body, or None to go on."""

    def handle(self, request: Request) -> Reply:
        """Called with the whole request."""


class BadRequest(Exception):
    """A head that can not be served; carries the status to answer with."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def cut_position(cut: float, total: int) -> int:
    """Where to cut `total` bytes: a fraction below 1, or a number of bytes."""
    return int(cut * total) if cut < 1 else min(int(cut), total)


def parse_head(head: bytes, connection: int) -> Request:
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise BadRequest(400)
    headers = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            raise BadRequest(400)
        headers.append((name.lower(), value.strip(" \t")))
    request = Request(words[0], words[1], headers, 0, words[2] == "HTTP/1.1", connection)
    if request.header("transfer-encoding"):
        raise BadRequest(411)
    length = request.header("content-length") or "0"
    if not length.isdigit():
        raise BadRequest(400)
    request.length = int(length)
    if request.length > BODY_LIMIT:
        raise BadRequest(413)
    if request.header("connection").lower() == "close":
        request.keep_alive = False
    return request


@dataclass(slots=True)
class ConnectionLife:
    """The client's port, and when it was opened and seen closed, monotonic."""
    port: int
    opened: float
    closed: float | None = None


class Connection(asyncio.BufferedProtocol):
    """One client connection. A body is received straight into the bytearray that the application gets."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._scratch = memoryview(bytearray(SCRATCH_BYTES))
        self._head = bytearray()
        self._request: Request | None = None
        self._filled = 0
        self._reset_at: int | None = None
        self._reply: Reply | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._transport: Any = None
        self._heard = False
        self._delivered: Reply | None = None
        self.number = 0
        self.secure = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.secure = transport.get_extra_info("ssl_object") is not None
        self.number = self._server.opened(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._server.closed(self)
        if self._timer:
            self._timer.cancel()
        self._finish(False)
        # Who closes what has unread bytes resets the connection; whoever has read all of them ends it well.
        reply = self._delivered
        if isinstance(error, (ConnectionResetError, BrokenPipeError)) and reply is not None and reply.unread:
            reply.unread()

    def get_buffer(self, sizehint: int) -> memoryview:
        if self._request is None:
            return self._scratch
        return memoryview(self._request.body)[self._filled:]

    def buffer_updated(self, count: int) -> None:
        if self._request is None:
            self._head += self._scratch[:count]
        else:
            self._filled += count
        self._advance()

    def peer_port(self) -> int:
        return (self._transport.get_extra_info("peername") or ("", 0))[1]

    def reset(self) -> None:
        """Ends the connection with a TCP reset."""
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self._transport.abort()

    def close(self) -> None:
        """Ends the connection once what has been written is sent."""
        self._transport.close()

    def _advance(self) -> None:
        """Goes on as far as the bytes received allow: to the head's end, the body's end, the reply."""
        if self._reply is not None or self._transport.is_closing():
            return
        try:
            if self._request is None and not self._take_head():
                return
        except BadRequest as refusal:
            self._start_reply(Reply(refusal.status, end="close"))
            return
        if self._reset_at is not None and self._filled >= self._reset_at:
            self.reset()
        elif self._filled == self._request.length:
            request, self._request = self._request, None
            reply = self._server.application.handle(request)
            if not request.keep_alive and reply.end == "keep":
                reply.end = "close"
            self._start_reply(reply)

    def _take_head(self) -> bool:
        """Parses the next head if it is there, and takes what has come of its body."""
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            if len(self._head) > HEAD_LIMIT:
                raise BadRequest(431)
            return False
        request = parse_head(bytes(self._head[:end]), self.number)
        fraction = self._server.application.head(request)
        self._delivered = None
        self._reset_at = None if fraction is None else cut_position(fraction, request.length)
        request.body = bytearray(request.length)
        start = end + 4
        self._filled = min(len(self._head) - start, request.length)
        request.body[:self._filled] = self._head[start:start + self._filled]
        del self._head[:start + self._filled]
        self._request = request
        if request.header("expect").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True

    def _start_reply(self, reply: Reply) -> None:
        self._reply = reply
        if reply.end == "hang":
            return
        if reply.delay > 0:
            self._later(reply.delay, self._write)
        else:
            self._write()

    def _write(self) -> None:
        reply = self._reply
        whole = reply.encode()
        self._heard = self._is_there(select.POLLRDHUP)
        if reply.piece > 0 and reply.piece_delay > 0 and not reply.endless:
            self._write_piece(memoryview(whole))
            return
        self._transport.write(whole)
        if reply.endless:
            self._later(reply.piece_delay, self._write_more)
            return
        self._end_reply()

    def _write_piece(self, rest: memoryview) -> None:
        reply = self._reply
        self._transport.write(bytes(rest[:reply.piece]))
        if len(rest) > reply.piece:
            self._later(reply.piece_delay, self._write_piece, rest[reply.piece:])
        else:
            self._end_reply()

    def _write_more(self) -> None:
        """One more piece of an endless body, as far as the client reads them."""
        reply = self._reply
        if self._transport.get_write_buffer_size() < UNREAD_LIMIT:
            self._transport.write(reply.body)
        self._later(max(reply.piece_delay, ENDLESS_PAUSE), self._write_more)

    def _is_there(self, signs: int) -> bool:
        """Whether the client's end shows none of these signs of having gone, as the kernel knows, which may be ahead of
        the event loop."""
        if self._transport.is_closing():
            return False
        end = select.poll()
        end.register(self._transport.get_extra_info("socket"), signs)
        return not any(found & signs for _, found in end.poll(0))

    def _end_reply(self) -> None:
        end = self._reply.end
        # What is written to a client that has just gone comes back as a reset.
        self._finish(self._heard and self._is_there(select.POLLERR | select.POLLHUP))
        if end == "reset":
            self.reset()
        elif end == "close":
            self._transport.close()
        elif self._head:
            asyncio.get_running_loop().call_soon(self._advance)

    def _finish(self, sent: bool) -> None:
        reply, self._reply = self._reply, None
        if reply is not None and reply.done is not None:
            sent = sent and not reply.lost
            reply.done(sent)
            self._delivered = reply if sent else None

    def _later(self, seconds: float, action: Callable, *arguments: Any) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, action, *arguments)


class Listener:
    """A listening address that can stop accepting and start again on the same port."""

    def __init__(self, server: Server, host: str, port: int, context: ssl.SSLContext | None = None) -> None:
        self._server = server
        self._host = host
        self._context = context
        self._socket: socket.socket | None = None
        self._accepting: asyncio.Server | None = None
        self.port = port

    async def open(self) -> None:
        if self._accepting is not None:
            return
        self._bind()
        self._accepting = await asyncio.get_running_loop().create_server(
            lambda: Connection(self._server), sock=self._socket, ssl=self._context, backlog=BACKLOG)

    def pause(self) -> None:
        """Connecting is refused from now on; the port stays taken."""
        if self._accepting is not None:
            self.close()
            self._bind()

    def secure(self, context: ssl.SSLContext) -> None:
        """Connections that are accepted after the next `open` use this context."""
        self._context = context

    def close(self) -> None:
        if self._accepting is not None:
            self._accepting.close()
            self._accepting = None
        elif self._socket is not None:
            self._socket.close()
        self._socket = None

    def _bind(self) -> None:
        if self._socket is not None:
            return
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.setblocking(False)
        self._socket.bind((self._host, self.port))
        self.port = self._socket.getsockname()[1]


class Server:
    """The connections of one application, whichever listener they came by."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self.connections: set[Connection] = set()
        self.lives: dict[int, ConnectionLife] = {}
        self.total = 0

    def opened(self, connection: Connection) -> int:
        self.connections.add(connection)
        self.total += 1
        self.lives[self.total] = ConnectionLife(connection.peer_port(), monotonic())
        return self.total

    def closed(self, connection: Connection) -> None:
        self.connections.discard(connection)
        self.lives[connection.number].closed = monotonic()

    def reset_all(self) -> None:
        for connection in list(self.connections):
            connection.reset()
