"""The one exception type by which the stand-in's parts refuse a call, and its usual codes."""
from __future__ import annotations


class AwsError(Exception):
    """An AWS error: what goes into __type, the HTTP status and the message."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


def not_found(kind: str, name: str, account: str) -> AwsError:
    return AwsError("ResourceNotFoundException", f"{kind} {name} under account {account} not found.")


def in_use(kind: str, name: str, account: str) -> AwsError:
    return AwsError("ResourceInUseException", f"{kind} {name} under account {account} already exists.")


def invalid_argument(message: str) -> AwsError:
    return AwsError("InvalidArgumentException", message)


def constraint_error(violations: list[str]) -> AwsError:
    """The ValidationException AWS makes of a list of violated constraints."""
    count = len(violations)
    noun = "error" if count == 1 else "errors"
    return AwsError("ValidationException", f"{count} validation {noun} detected: {'; '.join(violations[:10])}")


def violation(value: str, path: str, constraint: str) -> str:
    return f"Value {value} at '{path}' failed to satisfy constraint: Member must {constraint}"


def too_long(size: int, path: str, limit: int) -> str:
    """The violation for a blob that is longer than allowed."""
    shown = f"'java.nio.HeapByteBuffer[pos=0 lim={size} cap={size}]'"
    return violation(shown, path, f"have length less than or equal to {limit}")
