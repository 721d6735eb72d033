"""A client that speaks HTTP/2 with prior knowledge over one clear-text connection."""
from __future__ import annotations

import socket
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events

TIMEOUT_SECONDS = 60


@dataclass
class Stream:
    """What has come of one stream."""
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ended: bool = False
    reset: int | None = None
    unsent: bytes = b""


class H2Client:
    """Opens streams, sends bodies as far as flow control allows, and gathers the answers."""

    def __init__(self, host: str, port: int) -> None:
        self._authority = f"{host}:{port}"
        self._socket = socket.create_connection((host, port), timeout=TIMEOUT_SECONDS)
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self._h2.initiate_connection()
        self._flush()
        self.streams: dict[int, Stream] = {}

    def __enter__(self) -> H2Client:
        return self

    def __exit__(self, *exception: object) -> None:
        self._socket.close()

    def post(self, path: str, body: bytes, headers: dict[str, str] | None = None, method: str = "POST",
             sized: bool = True) -> int:
        """Opens a stream with this request; its number."""
        number = self._h2.get_next_available_stream_id()
        fields = [(":method", method), (":scheme", "http"), (":authority", self._authority), (":path", path),
                  *(headers or {"content-type": "application/json"}).items()]
        if sized and body:
            fields.append(("content-length", str(len(body))))
        self._h2.send_headers(number, fields, end_stream=not body)
        self.streams[number] = Stream(unsent=body)
        self._send_bodies()
        return number

    def wait(self, *numbers: int) -> list[Stream]:
        """Reads until these streams have ended."""
        wanted = [self.streams[number] for number in numbers]
        while not all(stream.ended for stream in wanted):
            received = self._socket.recv(65536)
            if not received:
                raise AssertionError("the server closed the connection")
            for event in self._h2.receive_data(received):
                self._note(event)
            self._send_bodies()
        return wanted

    def _note(self, event: h2.events.Event) -> None:
        stream = self.streams.get(getattr(event, "stream_id", 0))
        if isinstance(event, h2.events.ResponseReceived):
            stream.headers = dict(event.headers)
            stream.status = int(stream.headers[":status"])
        elif isinstance(event, h2.events.DataReceived):
            stream.body += event.data
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            stream.ended = True
            stream.unsent = b""
        elif isinstance(event, h2.events.StreamReset):
            stream.ended, stream.reset = True, int(event.error_code)
            stream.unsent = b""

    def _send_bodies(self) -> None:
        for number, stream in self.streams.items():
            while stream.unsent:
                room = min(self._h2.local_flow_control_window(number), self._h2.max_outbound_frame_size)
                if room <= 0:
                    break
                piece, stream.unsent = stream.unsent[:room], stream.unsent[room:]
                self._h2.send_data(number, piece, end_stream=not stream.unsent)
        self._flush()

    def _flush(self) -> None:
        self._socket.sendall(self._h2.data_to_send())
