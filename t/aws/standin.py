#!/usr/bin/python3
"""A stand-in for Amazon Kinesis Data Streams, Data Firehose, STS and the places where machines find their keys, on
loopback, for tests, benches and the demo.

Run it (README.md beside it tells how), or start a StandIn inside a test:

    with StandIn(streams={"events": 2}) as aws:
        client = boto3.client("kinesis", endpoint_url=aws.url, ...)
"""
from __future__ import annotations

import argparse
import asyncio
import concurrent.futures
import gc
import json
import os
import signal
import threading
import time
from dataclasses import replace
from typing import Any, Callable, Iterable, TypeVar

from standin_app import App
from standin_certs import KINDS, Authority
from standin_control import RESETTABLE, Control
from standin_faults import FaultBook
from standin_firehose import Firehose
from standin_http import ConnectionLife, Listener, Server
from standin_keys import Issued, Life
from standin_kinesis import Kinesis
from standin_ledger import Call, Entry, Ledger
from standin_metadata import LIFETIME
from standin_secrets import given_out
from standin_sign import Credential, SignatureCheck
from standin_sts import Role

KEY_ID = "AKIDEXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
REGION = "us-east-1"
ACCOUNT = "123456789012"
HOST = "127.0.0.1"
KEEPS = ("data", "digest", "count")
POLL_SECONDS = 0.01

Result = TypeVar("Result")


class StandIn:
    """The stand-in, served by a thread of its own; every method may be called from any thread."""

    def __init__(self, *, streams: dict[str, int | dict] | None = None,
                 delivery_streams: dict[str, str | dict] | None = None, port: int = 0, tls: bool = False,
                 tls_port: int = 0, control_port: int = 0, certificate: str = "good", ca_file: str | None = None,
                 ledger_file: str | None = None, keep: str = "data", latency_ms: float = 0, region: str = REGION,
                 account: str = ACCOUNT, credentials: dict[str, Credential] | None = None,
                 faults: Iterable[dict] = (), also_listen: Iterable[str] = ()) -> None:
        """`streams`: name to number of shards, or to the arguments of add_stream; `delivery_streams`: name to
        type, or to the arguments of add_delivery_stream. `keep` is "data", "digest" or "count". `also_listen`:
        more addresses, HOST:PORT, that answer http as the first one does."""
        if keep not in KEEPS:
            raise ValueError(f"unknown keep {keep!r}; known are {', '.join(KEEPS)}")
        known = {KEY_ID: Credential(SECRET)} if credentials is None else dict(credentials)
        self.app = App(Kinesis(account, region, keep == "data"), Firehose(account, region),
                       SignatureCheck(known, [region]), Ledger(ledger_file, keep), FaultBook(), latency_ms)
        self.app.control = Control(self)
        self.app.stop_accepting = self.pause_now
        self.server = Server(self.app)
        self._authority = Authority() if tls or ca_file else None
        self.ca_pem = self._authority.pem() if self._authority else b""
        if ca_file:
            with open(ca_file, "wb") as out:
                out.write(self.ca_pem)
        self._plain = Listener(self.server, HOST, port)
        self._tls = Listener(self.server, HOST, tls_port, self._authority.server_context(certificate)) if tls else None
        self._more = [_listener(self.server, address) for address in also_listen]
        self._control = Listener(self.server, HOST, control_port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="standin", daemon=True)
        self._resume_timer: asyncio.TimerHandle | None = None
        for name, shards in (streams or {}).items():
            self.app.kinesis.add_stream(name, **(shards if isinstance(shards, dict) else {"shards": shards}))
        for name, kind in (delivery_streams or {}).items():
            self.app.firehose.add_stream(name, **(kind if isinstance(kind, dict) else {"type": kind}))
        for spec in faults:
            self.app.faults.add(spec)

    # Life

    def start(self) -> StandIn:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result()
        return self

    def stop(self) -> None:
        if not self._thread.is_alive():
            return
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self.app.ledger.close()

    def __enter__(self) -> StandIn:
        return self.start()

    def __exit__(self, *exception: Any) -> None:
        self.stop()

    # Addresses

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._plain.port}"

    @property
    def tls_url(self) -> str | None:
        return f"https://127.0.0.1:{self._tls.port}" if self._tls else None

    @property
    def control_url(self) -> str:
        """The address for control paths: its port goes on accepting when the others do not."""
        return f"http://{HOST}:{self._control.port}"

    def addresses(self) -> dict[str, Any]:
        return {"url": self.url, "tls_url": self.tls_url, "control_url": self.control_url, "pid": os.getpid()}

    # Streams and credentials

    def add_stream(self, name: str, shards: int = 1, status: str = "ACTIVE", on_demand: bool = False,
                   max_record_kib: int = 1024) -> None:
        self._run(lambda: self.app.kinesis.add_stream(name, shards, status, on_demand, max_record_kib))

    def add_delivery_stream(self, name: str, type: str = "DirectPut", status: str = "ACTIVE",
                            destination: dict | None = None) -> None:
        self._run(lambda: self.app.firehose.add_stream(name, type, status, destination))

    def remove_stream(self, service: str, name: str) -> None:
        streams = getattr(self.app, service).streams
        self._run(lambda: streams.pop(name))

    def set_status(self, service: str, name: str, status: str) -> None:
        self._run(lambda: setattr(getattr(self.app, service).streams[name], "status", status))

    def add_credential(self, key_id: str, secret: str, token: str | None = None,
                       expires: float | None = None) -> None:
        self._run(lambda: self.app.signatures.credentials.update({key_id: Credential(secret, token, expires)}))

    def remove_credential(self, key_id: str) -> None:
        self._run(lambda: self.app.signatures.credentials.pop(key_id))

    # Roles and temporary keys

    def add_role(self, arn: str, **settings: Any) -> None:
        """A role that STS gives keys for, with the settings of standin_sts.Role."""
        self._run(lambda: self.app.sts.roles.update({arn: Role(**settings)}))

    def remove_role(self, arn: str) -> None:
        self._run(lambda: self.app.sts.roles.pop(arn))

    def set_instance_role(self, role: str | None, lifetime: float = LIFETIME, accepted: float | None = None,
                          token_seconds: float | None = None) -> None:
        """What the instance metadata service gives out; `token_seconds` wins over the life asked for."""
        self._run(lambda: self.set_instance_now(role, lifetime, accepted, token_seconds))

    def set_container_role(self, role: str | None, lifetime: float = LIFETIME, accepted: float | None = None,
                           authorization: str | None = None) -> None:
        self._run(lambda: self.set_container_now(role, lifetime, accepted, authorization))

    def forget_instance_tokens(self) -> None:
        self._run(self.app.imds.forget_tokens)

    def rotate_keys(self) -> None:
        """The metadata services have new keys from now on; the old ones stay good."""
        self._run(self.rotate_now)

    def expire_keys(self, source: str | None = None) -> int:
        return self._run(lambda: self.app.keys.expire(source))

    def revoke_keys(self, source: str | None = None) -> int:
        return self._run(lambda: self.app.keys.revoke(source))

    def issued_keys(self, source: str | None = None) -> list[Issued]:
        return self._run(lambda: [keys for keys in self.app.keys.issued if source in (None, keys.source)])

    def set_certificate(self, kind: str) -> None:
        """The https port goes on with this kind of certificate; its open connections are closed."""
        future = asyncio.run_coroutine_threadsafe(self.change_certificate(kind), self._loop)
        future.result()

    # Faults

    def add_fault(self, type: str, *, match: dict | None = None, count: int | None = None, id: str | None = None,
                  **options: Any) -> str:
        """Adds a rule: add_fault("error", code="InternalFailure", status=500, match={"nth": 2}, count=1)."""
        spec: dict[str, Any] = {"action": {"type": type, **options}, "match": match or {}}
        spec.update({name: value for name, value in (("count", count), ("id", id)) if value is not None})
        return self._run(lambda: self.app.faults.add(spec))

    def remove_fault(self, rule_id: str) -> bool:
        return self._run(lambda: self.app.faults.remove(rule_id))

    def clear_faults(self) -> None:
        self._run(self.app.faults.clear)

    def faults(self) -> list[dict]:
        return self._run(lambda: [rule.as_dict() for rule in self.app.faults.rules])

    def set_latency(self, milliseconds: float) -> None:
        self._run(lambda: setattr(self.app, "latency_ms", milliseconds))

    def stop_accepting(self, seconds: float | None = None, drop: bool = False) -> None:
        """Refuses connections for a time or until resume_accepting; `drop` resets those that are open."""
        self._run(lambda: self.pause_now(seconds, drop))

    def resume_accepting(self) -> None:
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result()

    # What happened

    def records(self, service: str | None = None, stream: str | None = None) -> list[Entry]:
        return self._run(lambda: list(self.app.ledger.entries(service, stream)))

    def summary(self) -> dict[str, Any]:
        return self._run(self.app.ledger.summary)

    def total(self, service: str | None = None, stream: str | None = None) -> int:
        return self._run(lambda: self.app.ledger.total(service, stream))

    def calls(self, operation: str | None = None) -> list[dict]:
        return self._run(lambda: [call.as_dict() for call in self.app.ledger.calls
                                  if operation in (None, call.operation)])

    def call_log(self, accepted_by: str | None = None) -> list[Call]:
        """All calls in order of arrival; or those of which a stream accepted records, with these records."""
        return self._run(lambda: list(self.app.ledger.calls) if accepted_by is None
                         else self.app.ledger.accepted(accepted_by))

    def lives(self) -> dict[int, ConnectionLife]:
        """Every connection so far, by the number that calls have."""
        return self._run(lambda: {number: replace(life) for number, life in self.server.lives.items()})

    def wait_for(self, total: int, service: str | None = None, stream: str | None = None,
                 timeout: float = 10) -> int:
        """Waits until so many records have been accepted; the number there is at that time or at the end."""
        deadline = time.monotonic() + timeout
        while (found := self.total(service, stream)) < total and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return found

    def reset(self, what: Iterable[str] = RESETTABLE) -> None:
        """Forgets faults, ledger and calls, or some of them; streams and what they hold stay."""
        self._run(lambda: self.reset_now(what))

    # On the server's thread

    def reset_now(self, what: Iterable[str]) -> None:
        for name in what:
            if name not in RESETTABLE:
                raise ValueError(f"can not reset {name!r}")
            if name == "faults":
                self.app.faults.clear()
            else:
                self.app.ledger.clear(name)

    def set_instance_now(self, role: str | None, lifetime: float = LIFETIME, accepted: float | None = None,
                         token_seconds: float | None = None) -> None:
        self.app.imds.holder.set(role, Life(lifetime, accepted))
        self.app.imds.token_seconds = token_seconds

    def set_container_now(self, role: str | None, lifetime: float = LIFETIME, accepted: float | None = None,
                          authorization: str | None = None) -> None:
        self.app.container.holder.set(role, Life(lifetime, accepted))
        self.app.container.authorization = authorization
        given_out.update([authorization] if authorization else [])

    def rotate_now(self) -> None:
        self.app.imds.holder.rotate()
        self.app.container.holder.rotate()

    def change_certificate_soon(self, kind: str) -> None:
        if kind not in KINDS:
            raise ValueError(f"unknown kind of certificate {kind!r}; known are {', '.join(KINDS)}")
        self._loop.create_task(self.change_certificate(kind))

    async def change_certificate(self, kind: str) -> None:
        if self._tls is None or self._authority is None:
            raise ValueError("there is no https port")
        context = self._authority.server_context(kind)
        self._tls.pause()
        self._tls.secure(context)
        for connection in list(self.server.connections):
            if connection.secure:
                connection.close()
        await self._tls.open()

    def pause_now(self, seconds: float | None, drop: bool) -> None:
        for listener in self._pausable():
            listener.pause()
        if drop:
            self._loop.call_soon(self.server.reset_all)
        self._cancel_resume()
        if seconds is not None:
            self._resume_timer = self._loop.call_later(seconds, self.resume_now)

    def resume_now(self) -> None:
        self._loop.create_task(self._open())

    def _cancel_resume(self) -> None:
        if self._resume_timer is not None:
            self._resume_timer.cancel()
            self._resume_timer = None

    def _pausable(self) -> list[Listener]:
        return [self._plain, *([self._tls] if self._tls else []), *self._more]

    async def _open(self) -> None:
        self._cancel_resume()
        for listener in [*self._pausable(), self._control]:
            await listener.open()

    async def _close(self) -> None:
        self._cancel_resume()
        for listener in [*self._pausable(), self._control]:
            listener.close()
        self.server.reset_all()
        await asyncio.sleep(0)

    def _run(self, action: Callable[[], Result]) -> Result:
        """Runs the action on the server's thread; before the start and after the stop on the caller's."""
        if not self._loop.is_running():
            return action()
        future: concurrent.futures.Future = concurrent.futures.Future()

        def step() -> None:
            try:
                future.set_result(action())
            except Exception as error:
                future.set_exception(error)
        self._loop.call_soon_threadsafe(step)
        return future.result()


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A stand-in for Amazon Kinesis and Firehose on loopback.")
    parser.add_argument("--port", type=int, default=0, help="http port; 0 takes a free one")
    parser.add_argument("--tls-port", type=int, help="serve https too; 0 takes a free port")
    parser.add_argument("--control-port", type=int, default=0, help="port that always accepts control calls")
    parser.add_argument("--port-file", help="write the addresses here, as JSON, when ready")
    parser.add_argument("--certificate", choices=KINDS, default="good", help="kind of the https certificate")
    parser.add_argument("--ca-file", help="write the authority's certificate here")
    parser.add_argument("--ledger", help="append every accepted record here, one JSON object a line")
    parser.add_argument("--keep", choices=KEEPS, default="data",
                        help="keep the records' data; or their SHA-256 only (GetRecords then finds nothing); or only "
                             "count what batch puts bring, reading of each body no more than its signature needs")
    parser.add_argument("--also-listen", action="append", default=[], metavar="HOST:PORT",
                        help="one more http address, such as 169.254.169.254:80")
    parser.add_argument("--script", help="a JSON file with a list of fault rules")
    parser.add_argument("--latency-ms", type=float, default=0, help="answer after this many milliseconds")
    parser.add_argument("--region", default=REGION)
    parser.add_argument("--account", default=ACCOUNT)
    parser.add_argument("--stream", action="append", default=[], metavar="NAME[:SHARDS[:STATUS]]")
    parser.add_argument("--delivery-stream", action="append", default=[], metavar="NAME[:TYPE[:STATUS]]")
    parser.add_argument("--credential", action="append", default=[], metavar="ID:SECRET[:TOKEN]",
                        help="one more key, besides the default one")
    return parser.parse_args(arguments)


def from_arguments(options: argparse.Namespace) -> StandIn:
    streams: dict[str, int | dict] = {}
    for text in options.stream:
        name, shards, status = (text.split(":") + ["", ""])[:3]
        streams[name] = {"shards": int(shards or 1), "status": status or "ACTIVE"}
    delivery: dict[str, str | dict] = {}
    for text in options.delivery_stream:
        name, kind, status = (text.split(":") + ["", ""])[:3]
        delivery[name] = {"type": kind or "DirectPut", "status": status or "ACTIVE"}
    credentials = {KEY_ID: Credential(SECRET)}
    for text in options.credential:
        key_id, secret, token = (text.split(":", 2) + [""])[:3]
        credentials[key_id] = Credential(secret, token or None)
    faults = []
    if options.script:
        with open(options.script, encoding="utf-8") as script:
            faults = json.load(script)
    return StandIn(streams=streams, delivery_streams=delivery, port=options.port, tls=options.tls_port is not None,
                   tls_port=options.tls_port or 0, control_port=options.control_port,
                   certificate=options.certificate, ca_file=options.ca_file, ledger_file=options.ledger,
                   keep=options.keep, latency_ms=options.latency_ms, region=options.region, account=options.account,
                   credentials=credentials, faults=faults, also_listen=options.also_listen)


def _listener(server: Server, address: str) -> Listener:
    host, _, port = address.rpartition(":")
    return Listener(server, host, int(port))


def write_whole(path: str, text: str) -> None:
    """Writes a file so that a reader finds all of it or nothing."""
    with open(path + ".new", "w", encoding="utf-8") as out:
        out.write(text)
    os.replace(path + ".new", path)


def main() -> None:
    options = parse_arguments()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    standin = from_arguments(options)
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    with standin:
        addresses = json.dumps(standin.addresses())
        if options.port_file:
            write_whole(options.port_file, addresses + "\n")
        print(f"ready {addresses}", flush=True)
        ended.wait()


if __name__ == "__main__":
    main()
