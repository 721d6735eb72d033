"""A small HTTP/1.1 client that says exactly what it is told to, and the answers it gets."""
from __future__ import annotations

import http.client
import json
import socket
from dataclasses import dataclass
from typing import Iterator

import leaks

TIMEOUT_SECONDS = 60
CODES = {400: "BAD_REQUEST", 405: "METHOD_NOT_ALLOWED", 413: "PAYLOAD_TOO_LARGE", 415: "UNSUPPORTED_MEDIA_TYPE",
         503: "SERVICE_UNAVAILABLE"}


@dataclass
class Answer:
    """A response; headers are looked up in any case."""
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def error(self) -> str:
        """The message of an error body, which must have mParticle's form to the byte."""
        code = CODES[self.status]
        assert self.headers["Content-Type"].split(";")[0] == "application/json", self.headers.as_string()
        start, end = b'{"errors":[{"code":"%s","message":"' % code.encode(), b'"}]}'
        assert self.body.startswith(start) and self.body.endswith(end), self.body
        members = json.loads(self.body)
        assert list(members) == ["errors"] and len(members["errors"]) == 1, members
        assert list(members["errors"][0]) == ["code", "message"], members
        message = members["errors"][0]["message"]
        assert message, "the message says nothing"
        return message


class Client:
    """Requests to one server, each over a connection of its own."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port

    def request(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None,
                chunks: Iterator[bytes] | None = None) -> Answer:
        """Sends body sized, or chunks with Transfer-Encoding: chunked."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT_SECONDS)
        try:
            if chunks is None:
                connection.request(method, path, body, headers or {})
            else:
                connection.request(method, path, chunks, {"Transfer-Encoding": "chunked", **(headers or {})},
                                   encode_chunked=True)
            return read_answer(connection.getresponse())
        finally:
            connection.close()

    def open(self) -> http.client.HTTPConnection:
        """A connection to be kept alive; the caller closes it."""
        return http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT_SECONDS)

    def raw(self, data: bytes) -> Answer:
        """Sends these bytes and reads one answer."""
        with self.connect() as stream:
            stream.sendall(data)
            return self.answer_on(stream)

    def connect(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), timeout=TIMEOUT_SECONDS)

    @staticmethod
    def answer_on(stream: socket.socket, method: str = "POST") -> Answer:
        response = http.client.HTTPResponse(stream, method=method)
        response.begin()
        return read_answer(response)


def read_answer(response: http.client.HTTPResponse) -> Answer:
    """No answer may hold a secret, whatever its page."""
    answer = Answer(response.status, response.headers, response.read())
    leaks.refuse(answer.body + answer.headers.as_bytes(), "an answer")
    return answer
