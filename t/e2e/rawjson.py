"""JSON as tokens: a tree that keeps each scalar's and each name's own spelling, to compare to the byte."""
from __future__ import annotations

import json
import re
from typing import Any, Callable, Union

TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+', re.DOTALL)


class Obj:
    """An object: its members in order, names as tokens."""

    def __init__(self, members: list[tuple[bytes, "Node"]]) -> None:
        self.members = members

    def get(self, name: str) -> "Node | None":
        return next((value for key, value in self.members if json.loads(key) == name), None)

    def names(self) -> list[str]:
        return [json.loads(key) for key, _ in self.members]

    def set(self, name: str, value: "Node") -> None:
        """Replaces a member in place, or appends it."""
        if name in self.names():
            self.members = [(key, value if json.loads(key) == name else old) for key, old in self.members]
        else:
            self.members.append((json.dumps(name).encode(), value))

    def drop(self, *names: str) -> None:
        self.members = [(key, value) for key, value in self.members if json.loads(key) not in names]


Node = Union[Obj, list, bytes]


def tokens(text: bytes) -> list[bytes]:
    return TOKEN.findall(text)


def parse(text: bytes) -> Node:
    """The tree of a valid JSON text."""
    left = tokens(text)[::-1]
    tree = _value(left)
    assert not left, "bytes after the value"
    return tree


def dump(node: Node) -> bytes:
    """The text without blanks between tokens."""
    if isinstance(node, Obj):
        return b"{" + b",".join(key + b":" + dump(value) for key, value in node.members) + b"}"
    if isinstance(node, list):
        return b"[" + b",".join(map(dump, node)) + b"]"
    return node


def plain(node: Node) -> Any:
    """As json.loads gives it."""
    return json.loads(dump(node))


def scalar(value: Any) -> bytes:
    return json.dumps(value).encode()


def _value(left: list[bytes]) -> Node:
    token = left.pop()
    if token == b"{":
        return Obj(_until(b"}", left, _member))
    return _until(b"]", left, _value) if token == b"[" else token


def _member(left: list[bytes]) -> tuple[bytes, Node]:
    key = left.pop()
    assert left.pop() == b":"
    return key, _value(left)


def _until(end: bytes, left: list[bytes], read: Callable[[list[bytes]], Any]) -> list:
    found: list = []
    if left[-1] == end:
        left.pop()
        return found
    while True:
        found.append(read(left))
        if left.pop() == end:
            return found
