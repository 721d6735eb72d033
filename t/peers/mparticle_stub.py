"""What the Web SDK asks of mParticle besides taking events, and the page it runs in, over TLS on loopback. For tests only:
it knows two users, says who is who by the identities it is told, and has the configuration that a workspace without kits
has. It takes no events."""
from __future__ import annotations

import json
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

VISITOR, CUSTOMER = "-3171239846550123907", "7346244611012968789"
CONFIGURATION = {
    "appName": "peers", "serviceUrl": "jssdk.mparticle.com/v2/JS/", "secureServiceUrl": "jssdks.mparticle.com/v2/JS/",
    "minWebviewBridgeVersion": 2, "workspaceToken": "0A1B2C3D", "kitConfigs": [], "pixelConfigs": [],
    "flags": {"eventsV3": "100", "eventBatchingIntervalMillis": "1000", "offlineStorage": "0", "directURLRouting": "False",
              "cacheIdentity": "False", "audienceAPI": "False", "astBackgroundEvents": "True"},
}


def make_certificate(folder: Path) -> Path:
    """A key and a certificate for loopback, signed by itself, in one file."""
    path = folder / "loopback.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                    "-subj", "/CN=localhost", "-addext", "basicConstraints=critical,CA:FALSE", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                    "-keyout", str(path), "-out", str(path) + ".crt"], check=True, capture_output=True)
    with open(path, "ab") as whole:
        whole.write(Path(str(path) + ".crt").read_bytes())
    return path


class Stub:
    """Serves from start to close; `asked` lists the paths of all requests."""

    def __init__(self, certificate: Path, files: dict[str, Path]) -> None:
        self.asked: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.files, self._server.asked = files, self.asked
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        # The handshake belongs to the connection's own thread, not to the one that accepts.
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self._server.server_address[1]
        self.origin = f"https://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        self.server.asked.append(path)
        if path in self.server.files:
            kind = "text/html; charset=utf-8" if path.endswith(".html") else "text/javascript; charset=utf-8"
            self._answer(200, self.server.files[path].read_bytes(), kind)
        elif path.endswith("/config"):
            # The SDK's own storage of what it could not send is one of mParticle's switches.
            flags = {**CONFIGURATION["flags"], **({"offlineStorage": "100"} if path.startswith("/offline/") else {})}
            self._json({**CONFIGURATION, "flags": flags})
        else:
            self._answer(204 if path == "/favicon.ico" else 404)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"null")
        path = self.path.split("?")[0]
        self.server.asked.append(path)
        method = path.rpartition("/")[2]
        if "/v1/" not in path or method not in ("identify", "login", "logout", "modify"):
            self._answer(404)
        elif method == "modify":
            mpid = path.split("/")[-2]
            self._json({"change_results": [{"identity_type": change["identity_type"], "modified_mpid": mpid}
                                           for change in body["identity_changes"]]})
        else:
            known = "customerid" in body["known_identities"] and method != "logout"
            self._json({"context": None, "mpid": CUSTOMER if known else VISITOR, "matched_identities": {},
                        "is_ephemeral": False, "is_logged_in": known})

    def do_OPTIONS(self) -> None:
        self._answer(204)

    def _json(self, value: object) -> None:
        self._answer(200, json.dumps(value).encode(), "application/json")

    def _answer(self, status: int, body: bytes = b"", kind: str = "") -> None:
        self.send_response(status)
        if kind:
            self.send_header("Content-Type", kind)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Access-Control-Allow-Headers", "*")
        self.send_header("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Says nothing."""
