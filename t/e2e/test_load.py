"""Many batches over 64 connections while AWS throttles, fails records and hangs up: all arrive, memory stays flat."""
from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Callable, Iterable, Iterator

import pytest

import loadgen
from configs import connection, defaults, location
from httpd_server import DEADLINE, HOST, SOURCE, Httpd, wait_until

STANDIN = SOURCE / "t" / "aws" / "standin.py"
PUTS = {"operation": "PutRecords"}
TROUBLE = [
    {"match": {**PUTS, "probability": 0.1, "seed": 1}, "action": {"type": "throttle"}},
    {"match": {**PUTS, "probability": 0.025, "seed": 2}, "action": {"type": "reset", "when": "after_record"}},
    {"match": {**PUTS, "probability": 0.025, "seed": 3}, "action": {"type": "reset", "when": "before_reading"}},
    {"match": PUTS, "action": {"type": "fail_records", "fraction": 0.1, "code": "InternalFailure"}},
]
SAMPLE_SECONDS = 0.25
GROWTH_BYTES = 64 << 20
# ASan holds what was freed back from use, a quarter of a gigabyte of it: where memory is measured, next to nothing.
FREED_IS_FREE = "quarantine_size_mb=1:thread_local_quarantine_size_kb=16"


class StandInProcess:
    """The stand-in in a process of its own, so that it takes no time from the load generator's."""

    def __init__(self, folder: Path) -> None:
        script, self._ledger = folder / "faults.json", folder / "ledger.jsonl"
        script.write_text(json.dumps(TROUBLE))
        port_file = folder / "ports"
        self._process = subprocess.Popen(
            [sys.executable, str(STANDIN), "--port-file", str(port_file), "--keep", "digest", "--ledger",
             str(self._ledger), "--script", str(script), "--stream", "events:4"], stdout=subprocess.DEVNULL)
        wait_until(port_file.exists, "the stand-in")
        addresses = json.loads(port_file.read_text())
        self.url, self._control = addresses["url"], addresses["control_url"]

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(DEADLINE)

    def distinct(self) -> int:
        with urllib.request.urlopen(f"{self._control}/_control/ledger/summary", timeout=DEADLINE) as reply:
            return sum(stream["distinct"] for stream in json.load(reply)["streams"])

    def answers(self) -> dict[str, list[str]]:
        """Per record, by its digest, what became of the answer to each call that brought it."""
        found: dict[str, list[str]] = {}
        with open(self._ledger, encoding="utf-8") as lines:
            for line in lines:
                entry = json.loads(line)
                found.setdefault(entry["sha256"], []).append(entry["answer"])
        return found


class MemoryWatch:
    """Samples the memory of a server's children: the proportional set size, in bytes, of the largest."""

    def __init__(self, server: Httpd) -> None:
        self.samples: list[int] = []
        self._server = server
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> MemoryWatch:
        self.samples.append(largest_child(self._server))
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ending.set()
        self._thread.join()
        self.samples.append(largest_child(self._server))

    def _run(self) -> None:
        while not self._ending.wait(SAMPLE_SECONDS):
            self.samples.append(largest_child(self._server))


def largest_child(server: Httpd) -> int:
    sizes = [0]
    for pid in server.children():
        try:
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
                sizes += [int(line.split()[1]) * 1024 for line in rollup if line.startswith("Pss:")]
        except OSError:
            pass
    return max(sizes)


@pytest.fixture
def standin(tmp_path) -> Iterator[StandInProcess]:
    process = StandInProcess(tmp_path)
    yield process
    process.stop()


def run_load(server: Httpd, standin: StandInProcess, count: int, report: Callable[[str, object], None]) -> MemoryWatch:
    with MemoryWatch(server) as memory:
        outcome = loadgen.run(HOST, server.port, "/v2/events", count, give_up=DEADLINE + count / 100)
        assert outcome.statuses[202] == count, outcome.statuses
        assert set(outcome.statuses) <= {202, 503}, outcome.statuses
        wait_until(lambda: standin.distinct() >= count, "as many batches", DEADLINE + count / 500)
        wait_until(lambda: digests(outcome.accepted) <= set(standin.answers()), "the last of the batches")
    account(standin, outcome)
    report("numbers", f"{count} batches, {count / outcome.duration:.0f}/s accepted, "
           f"p50 {outcome.percentile(.5) * 1000:.1f} ms, "
           f"p99 {outcome.percentile(.99) * 1000:.1f} ms, {outcome.statuses[503]} times 503, "
           f"{len(outcome.unanswered)} without an answer; child: "
           f"{memory.samples[0] >> 10} KiB before, {max(memory.samples) >> 10} at most, "
           f"{memory.samples[-1] >> 10} after")
    return memory


def digests(numbers: Iterable[int]) -> set[str]:
    return {hashlib.sha256(loadgen.body(number)).hexdigest() for number in numbers}


def account(standin: StandInProcess, outcome: loadgen.Outcome) -> None:
    """Every accepted batch arrived; a second copy only where the first one's answer was lost."""
    wanted, answers = digests(outcome.accepted), standin.answers()
    unknown = set(answers) - wanted - digests(outcome.unanswered)
    assert wanted <= set(answers) and not unknown, f"{len(wanted - set(answers))} missing, {len(unknown)} unknown"
    unexplained = Counter(tuple(a) for a in answers.values() if a.count("delivered") > 1)
    assert not unexplained, f"records came twice though their answers arrived: {unexplained}"


def loaded_server(httpd, standin: StandInProcess, mpm: str, more: str = "") -> Httpd:
    server = httpd(defaults(standin.url, "KinesisRetryBackoff 50ms 500ms", more)
                   + connection("one", "KinesisRecordFormat received") + location("/v2/events", "one"),
                   mpm=mpm, sanitizer_options=FREED_IS_FREE,
                   mpm_lines="ThreadsPerChild 32\nMaxRequestWorkers 64\nMaxSpareThreads 64"
                   if mpm != "prefork" else "ServerLimit 64\nStartServers 64\nMaxRequestWorkers 64\nMaxSpareServers 64")
    server.allow("KF0202", "KF0401", "KF0405", "KF0406", "AH00161", "AH00286", "AH00484", "AH10159")
    return server


@pytest.mark.parametrize("mpm", ["event", "worker", "prefork"])
def test_five_thousand_batches_arrive_through_trouble(standin, httpd, mpm, record_property):
    memory = run_load(loaded_server(httpd, standin, mpm), standin, 5000, record_property)
    assert max(memory.samples) - memory.samples[0] < GROWTH_BYTES


def test_a_small_queue_holds_senders_back_and_loses_nothing(standin, httpd, record_property):
    server = loaded_server(httpd, standin, "event", "KinesisQueueSize 256\nKinesisQueueBytes 8M")
    run_load(server, standin, 2000, record_property)


@pytest.mark.soak
@pytest.mark.parametrize("mpm", ["event", "worker", "prefork"])
def test_a_hundred_thousand_batches_arrive_and_memory_stays_flat(standin, httpd, mpm, record_property):
    server = loaded_server(httpd, standin, mpm)
    memory = run_load(server, standin, 100_000, record_property)
    settled = memory.samples[len(memory.samples) // 4:]
    assert max(settled) - min(settled) < GROWTH_BYTES
    assert memory.samples[-1] - memory.samples[0] < GROWTH_BYTES
