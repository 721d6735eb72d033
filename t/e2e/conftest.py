"""Fixtures of the end-to-end tests: httpd servers, the stand-in for AWS, the log gate, and tidying up."""
from __future__ import annotations

import atexit
import sys
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "aws")]

import leaks
from httpd_server import Httpd, Missing, check_prerequisites
from standin import StandIn

LOG_LINES_SHOWN = 120


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "soak: takes minutes; run by make soak, not by make check")


@atexit.register
def end_all() -> None:
    for server in list(Httpd.live):
        server.close()


@pytest.fixture(scope="session", autouse=True)
def prerequisites() -> None:
    try:
        check_prerequisites()
    except Missing as missing:
        pytest.exit(str(missing), returncode=1)


@pytest.fixture
def httpd() -> Iterator[Callable[..., Httpd]]:
    """Starts servers: httpd(config, mpm="worker", ...); start=False leaves that to the test."""
    yield from _servers()


@pytest.fixture(scope="module")
def module_httpd() -> Iterator[Callable[..., Httpd]]:
    """As httpd, for servers that all tests of a file share."""
    yield from _servers()


@pytest.fixture
def aws() -> Iterator[StandIn]:
    """A stand-in with the stream `events` (2 shards) and the delivery stream `delivery`."""
    with StandIn(streams={"events": 2}, delivery_streams={"delivery": "DirectPut"}) as standin:
        yield standin
        leaks.refuse(b"\n".join(entry.data for entry in standin.records()), "a record")


@pytest.fixture(scope="module")
def module_aws() -> Iterator[StandIn]:
    with StandIn(streams={"events": 2}, delivery_streams={"delivery": "DirectPut"}) as standin:
        yield standin


@pytest.fixture(autouse=True)
def log_gate() -> Iterator[None]:
    """Servers that live longer than a test are looked at after each."""
    yield
    _fail_with([fault for server in Httpd.live for fault in server.gate() + server.shown()])


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Iterator[None]:
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for server in Httpd.live:
            tail = server.all_log().splitlines()[-LOG_LINES_SHOWN:]
            report.sections.append((f"error log of {server.root}", "\n".join(tail)))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Shows what tests measured."""
    stats = terminalreporter.stats
    for report in stats.get("passed", []) + stats.get("failed", []):
        for name, value in report.user_properties:
            if name == "numbers":
                terminalreporter.write_line(f"{report.nodeid.rpartition('::')[2]}: {value}")


def _servers() -> Iterator[Callable[..., Httpd]]:
    made: list[Httpd] = []

    def make(config: str, *, start: bool = True, **options: Any) -> Httpd:
        server = Httpd(config, **options)
        made.append(server)
        return server.start() if start else server

    try:
        yield make
    finally:
        _fail_with([fault for server in reversed(made) for fault in _end(server)])


def _end(server: Httpd) -> list[str]:
    """Stops the server; what the gate found, and what did not end."""
    faults = []
    try:
        if server.running():
            server.stop()
    except AssertionError as error:
        faults.append(str(error))
    faults += server.gate()
    faults += server.leaks()
    faults += [f"announced and not logged: {name}" for name in server.missing()]
    server.close()
    return faults


def _fail_with(faults: list[str]) -> None:
    if faults:
        pytest.fail("the log gate: \n" + "\n".join(faults), pytrace=False)
