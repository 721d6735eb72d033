"""What lies between a browser and a server: passes bytes on, and can lose the server's for a time."""
from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress

HOST = "127.0.0.1"
RESET = struct.pack("ii", 1, 0)


class Relay:
    """Listens at `port` from its making until close."""

    def __init__(self, to_port: int) -> None:
        self._to, self._open, self._lock, self._losing = to_port, [], threading.Lock(), False
        self._listener = socket.create_server((HOST, 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def lose(self) -> None:
        """From now on nothing of what the server says arrives, and nobody new is let in."""
        self._losing = True

    def cut(self) -> None:
        """Resets all connections."""
        with self._lock:
            for one in self._open:
                with suppress(OSError):
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    one.shutdown(socket.SHUT_RDWR)
                one.close()
            self._open.clear()

    def mend(self) -> None:
        self._losing = False

    def close(self) -> None:
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._losing:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                client.close()
                continue
            server = socket.create_connection((HOST, self._to))
            with self._lock:
                self._open += [client, server]
            threading.Thread(target=self._pass, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, True), daemon=True).start()

    def _pass(self, come: socket.socket, go: socket.socket, may_lose: bool) -> None:
        with suppress(OSError):
            while data := come.recv(65536):
                if not (may_lose and self._losing):
                    go.sendall(data)
            go.shutdown(socket.SHUT_WR)
