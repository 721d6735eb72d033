"""One httpd between real senders and readers: it has the configurations of conf/, with only names, hosts and files replaced.
Knows nothing of what is sent, and of how it is read."""
from __future__ import annotations

import http.client
import json
import os
import re
import ssl
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Iterator

import oracle
import readers
from client import Answer, read_answer
from configs import connection, defaults, section
from httpd_server import DEADLINE, SOURCE, Httpd, wait_until
from mparticle_stub import Stub, make_certificate
from trace import Upload

HERE = Path(__file__).resolve().parent
BUILD = INSTALLED = Path(os.environ.get("KF_BUILDDIR") or SOURCE) / "peers.build"
PATIENCE = 3 * DEADLINE
KEY, API_SECRET = "us1-key", "api-secret-of-the-tests"
MODULES = ("ssl", "http2", "socache_shmcb", "proxy", "proxy_http", "deflate", "asis", "alias", "setenvif", "filter")
PINNED: dict[str, str] = json.loads((HERE / "package.json").read_text(encoding="utf-8"))["dependencies"]
# Releases of the Web SDK, the newest first.
NEWEST = PINNED["@mparticle/web-sdk"]
RELEASES = sorted((name.removeprefix("web-sdk-") for name in PINNED if name.startswith("web-sdk-")),
                  key=lambda release: [int(part) for part in release.split(".")], reverse=True)


def web_sdk(release: str) -> Path:
    folder = "@mparticle/web-sdk" if release == NEWEST else f"web-sdk-{release}"
    return INSTALLED / "npm" / "node_modules" / folder / "dist" / "mparticle.js"


def connection_name(reader: str, mode: str) -> str:
    return f"{reader}-{mode}"


def example(name: str, names: list[str], **replaced: tuple[str, str]) -> str:
    """A configuration of conf/ as it stands there, but for names of connections, files and hosts."""
    text = (SOURCE / "conf" / name).read_text(encoding="utf-8")
    text, count = re.subn(r"(KinesisForward +)all-events analytics", lambda m: m[1] + " ".join(names), text)
    assert count, f"{name} feeds no connection"
    for old, new in replaced.values():
        assert old in text, f"{name} lacks {old}"
        text = text.replace(old, new)
    return text


@dataclass
class Site:
    server: Httpd
    stub: Stub
    readers: dict[str, readers.KinesisReader | readers.LakeReader]
    uploads: list[Upload] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    def page(self, release: str = NEWEST) -> str:
        return f"{self.stub.origin}/{release}/page.html"

    def sent(self, sender: str, how: str, body: str | bytes, begun: float) -> None:
        """Notes what was accepted."""
        text = body.encode() if isinstance(body, str) else body
        self.uploads += [Upload(sender, how, one, int(begun * 1000), int(time.time() * 1000))
                         for one in oracle.batches(text)]

    def request(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
        context = ssl.create_default_context(cafile=str(self.server.root / "loopback.pem.crt"))
        link = http.client.HTTPSConnection("127.0.0.1", self.server.port, timeout=DEADLINE, context=context)
        try:
            link.request(method, path, body, headers or {})
            return read_answer(link.getresponse())
        finally:
            link.close()

    def status(self) -> dict:
        return json.loads(self.request("GET", "/kinesis-status?format=json").body)

    def wait_idle(self) -> None:
        """Nothing is on its way any more: what comes twice has come."""
        def settled() -> bool:
            return not any(one["gauges"][name] for one in self.status()["connections"] for name in ("backlog_records", "windows"))
        wait_until(settled, "the backlog and the windows to be empty", PATIENCE)


def open_site(peers: dict, make_httpd: Callable[..., Httpd], folder: Path, modes: dict[str, tuple[str, ...]],
              server_modes: tuple[str, ...] = (), more: str = "") -> Iterator[Site]:
    """httpd with a connection for each reader and mode; the Web SDK's locations feed all modes but those of server SDKs."""
    certificate = make_certificate(folder)
    files = {}
    for release in (NEWEST, *RELEASES):
        files |= {f"/{release}/page.html": HERE / "page.html", f"/{release}/page.js": HERE / "page.js",
                  f"/{release}/sdk.js": web_sdk(release)}
    stub = Stub(certificate, files)
    mparticle = f"https://localhost:{stub.port}"
    names = [connection_name(name, mode) for name in peers for mode in modes if mode not in server_modes]
    server_names = [connection_name(name, mode) for name in peers for mode in server_modes]
    text = defaults(peers["stand-in"].url) + more + "".join(
        connection(connection_name(name, mode), f"KinesisEndpoint {reader.url}", *reader.lines, *modes[mode],
                   stream=mode, service=reader.service)
        for name, reader in peers.items() for mode in modes)
    text += "Protocols h2 http/1.1\nSSLEngine On\nSSLSessionCache shmcb:@ROOT@/run/sessions(65536)\n" \
            "SSLCertificateFile @ROOT@/loopback.pem\nSSLProxyCACertificateFile @ROOT@/loopback.pem\n"
    text += example("web-sdk.conf", names, origins=("https://www.example.com https://play.example.com", stub.origin),
                    identity=("https://identity.mparticle.com", mparticle), cdn=("https://jssdkcdns.mparticle.com", mparticle),
                    other=("https://jssdks.mparticle.com", mparticle))
    if server_names:
        text += example("server-sdks.conf", server_names, users=("/etc/apache2/kinesis.users", "@ROOT@/users"),
                        page=("/etc/apache2/kinesis-forbidden.asis", "@ROOT@/htdocs/forbidden.asis"))
    text += section("Location", '"/kinesis-status"', ["SetHandler kinesis-forward-status"])
    server = make_httpd(text, modules=MODULES, log_level="notice", start=False)
    for end in ("", ".crt"):
        (server.root / f"loopback.pem{end}").write_bytes(Path(f"{certificate}{end}").read_bytes())
    subprocess.run(["htpasswd", "-bc", str(server.root / "users"), KEY, API_SECRET], check=True, capture_output=True)
    (server.root / "htdocs" / "forbidden.asis").write_bytes((SOURCE / "conf" / "forbidden.asis").read_bytes())
    server.start()
    yield Site(server, stub, peers)
    stub.close()
