"""The HTTP control paths under /_control/, by which tests in other processes script and question the stand-in."""
from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Callable
from urllib.parse import parse_qsl, unquote

from standin_http import Reply, Request
from standin_sign import Credential
from standin_sts import Role

if TYPE_CHECKING:
    from standin import StandIn

RESETTABLE = ("faults", "ledger", "calls")


class Control:
    """Answers control requests; runs on the server's own thread."""

    PREFIX = "/_control/"

    def __init__(self, standin: StandIn) -> None:
        self._standin = standin
        self._app = standin.app
        self._routes: dict[tuple[str, str], Callable[[dict, Any], Any]] = {
            ("GET", "state"): self._state, ("GET", "faults"): self._faults, ("POST", "faults"): self._add_faults,
            ("DELETE", "faults"): self._clear_faults, ("GET", "ledger"): self._ledger,
            ("GET", "ledger/summary"): lambda query, body: self._app.ledger.summary(),
            ("GET", "calls"): self._calls, ("POST", "reset"): self._reset,
            ("POST", "streams"): self._add_stream, ("DELETE", "streams"): self._remove_stream,
            ("POST", "credentials"): self._add_credential, ("DELETE", "credentials"): self._remove_credential,
            ("POST", "roles"): self._add_role, ("DELETE", "roles"): self._remove_role,
            ("POST", "instance"): self._instance, ("POST", "container"): self._container,
            ("GET", "keys"): self._keys, ("POST", "keys"): self._change_keys,
            ("POST", "certificate"): self._certificate,
            ("POST", "latency"): self._latency, ("POST", "accepting"): self._accepting}

    def handle(self, request: Request) -> Reply:
        path, _, query_text = request.path[len(self.PREFIX):].partition("?")
        query = dict(parse_qsl(query_text))
        try:
            if request.method == "DELETE" and path.startswith("faults/"):
                answer = self._remove_fault(unquote(path[len("faults/"):]))
            else:
                answer = self._routes[request.method, path](query, json.loads(request.body or b"null"))
        except KeyError as error:
            return _json(404, {"error": f"no such thing: {error}"})
        except (ValueError, TypeError) as error:
            return _json(400, {"error": str(error)})
        return _json(200, answer)

    def _state(self, query: dict, body: Any) -> dict:
        app = self._app
        return {**self._standin.addresses(), "latency_ms": app.latency_ms,
                "connections": len(self._standin.server.connections),
                "connections_total": self._standin.server.total, "calls": len(app.ledger.calls),
                "streams": {name: stream.status for name, stream in app.kinesis.streams.items()},
                "delivery_streams": {name: stream.status for name, stream in app.firehose.streams.items()}}

    def _faults(self, query: dict, body: Any) -> list:
        return [rule.as_dict() for rule in self._app.faults.rules]

    def _add_faults(self, query: dict, body: Any) -> dict:
        return {"ids": [self._app.faults.add(spec) for spec in (body if isinstance(body, list) else [body])]}

    def _remove_fault(self, rule_id: str) -> dict:
        if not self._app.faults.remove(rule_id):
            raise KeyError(rule_id)
        return {}

    def _clear_faults(self, query: dict, body: Any) -> dict:
        self._app.faults.clear()
        return {}

    def _ledger(self, query: dict, body: Any) -> dict:
        start, limit = int(query.get("start", 0)), int(query.get("limit", 1000))
        entries = list(self._app.ledger.entries(query.get("service"), query.get("stream")))
        chosen = entries[start:start + limit]
        return {"records": [entry.as_dict(self._app.ledger.digest) for entry in chosen],
                "next": start + len(chosen), "total": len(entries)}

    def _calls(self, query: dict, body: Any) -> dict:
        after = int(query.get("after", 0))
        return {"calls": [call.as_dict() for call in self._app.ledger.calls if call.id > after]}

    def _reset(self, query: dict, body: Any) -> dict:
        self._standin.reset_now((body or {}).get("what", RESETTABLE))
        return {}

    def _add_stream(self, query: dict, body: dict) -> dict:
        settings = dict(body)
        service = {"kinesis": self._app.kinesis, "firehose": self._app.firehose}[settings.pop("service")]
        service.add_stream(**settings)
        return {}

    def _remove_stream(self, query: dict, body: Any) -> dict:
        service = {"kinesis": self._app.kinesis, "firehose": self._app.firehose}[query["service"]]
        del service.streams[query["name"]]
        return {}

    def _add_credential(self, query: dict, body: dict) -> dict:
        settings = dict(body)
        key_id = settings.pop("key_id")
        self._app.signatures.credentials[key_id] = Credential(**settings)
        return {}

    def _remove_credential(self, query: dict, body: Any) -> dict:
        del self._app.signatures.credentials[query["key_id"]]
        return {}

    def _add_role(self, query: dict, body: dict) -> dict:
        settings = dict(body)
        arn = settings.pop("arn")
        self._app.sts.roles[arn] = Role(**settings)
        return {}

    def _remove_role(self, query: dict, body: Any) -> dict:
        del self._app.sts.roles[query["arn"]]
        return {}

    def _instance(self, query: dict, body: dict) -> dict:
        self._standin.set_instance_now(**body)
        return {}

    def _container(self, query: dict, body: dict) -> dict:
        self._standin.set_container_now(**body)
        return {}

    def _keys(self, query: dict, body: Any) -> dict:
        return {"keys": [keys.as_dict() for keys in self._app.keys.issued
                         if query.get("source") in (None, keys.source)]}

    def _change_keys(self, query: dict, body: dict) -> dict:
        change, source = body["do"], body.get("source")
        if change == "rotate":
            self._standin.rotate_now()
            return {}
        if change == "forget-tokens":
            self._app.imds.forget_tokens()
            return {}
        return {"keys": {"expire": self._app.keys.expire, "revoke": self._app.keys.revoke}[change](source)}

    def _certificate(self, query: dict, body: dict) -> dict:
        self._standin.change_certificate_soon(body["kind"])
        return {}

    def _latency(self, query: dict, body: dict) -> dict:
        self._app.latency_ms = float(body["ms"])
        return {}

    def _accepting(self, query: dict, body: dict) -> dict:
        if body["accepting"]:
            self._standin.resume_now()
        else:
            self._standin.pause_now(body.get("seconds"), body.get("drop", False))
        return {}


def _json(status: int, value: Any) -> Reply:
    return Reply(status=status, body=json.dumps(value).encode(), headers={"Content-Type": "application/json"})
