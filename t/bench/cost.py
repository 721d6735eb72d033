"""make bench-cost: how many units AWS bills for the records that the module makes of batches of each size.

The same batches go, at a fixed rate, to one connection for each setting, by a real httpd with one child; the stand-in for
AWS keeps what arrives, and units are counted on those records: nothing is reckoned from sizes alone. Five batches of each
device; windows are closed at once by changing the index's times. Writes JSON (t/cost.json of the build, --json; --record
copies it to docs/performance) and prints a table. Prices are yours to give: --price put-units=..., --rate ...

What AWS bills by (https://aws.amazon.com/kinesis/data-streams/pricing/ and https://aws.amazon.com/firehose/pricing/,
which say what holds now): Kinesis provisioned, PUT payload units, each up to 25 KB of a record; Kinesis on demand, bytes, each record
rounded up to 1 KB; Firehose's direct put, bytes, each record rounded up to 5 KB. Hours of shards and streams, reading and
what lies behind come on top. Counted is a record's data, without the partition key.
"""
from __future__ import annotations

import argparse
import http.client
import json
import shutil
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from curves import markdown
from measure import BUILD, HERE, HOST, Httpd, end_tidily, is_quiet, machine, made_batch, wait_until
from windows_index import Index

sys.path.insert(0, str(HERE.parent / "aws"))
from standin import StandIn  # noqa: E402
from configs import connection, defaults, location  # noqa: E402

RECORDED = HERE.parents[1] / "docs" / "performance"
BATCH_BYTES = (300, 1300, 5000, 20_000, 50_000, 200_000)
A_DEVICE = 5
POSTERS = 8
PATIENCE = 120
KIB = 1024


@dataclass(frozen=True)
class Setting:
    key: str
    title: str
    lines: tuple[str, ...]
    services: tuple[str, ...] = ("streams", "firehose")
    is_windowed: bool = False


SETTINGS = (
    Setting("plain", "each batch as it comes", ()),
    Setting("newline", "the same with `KinesisRecordDelimiter newline`", ("KinesisRecordDelimiter newline",)),
    Setting("events", "`KinesisSendAsBatch Off`: an event a record", ("KinesisSendAsBatch Off",)),
    Setting("windows", f"windows: {A_DEVICE} batches of a device in one", ("KinesisBatchWindow 600s",), is_windowed=True),
    Setting("join", "`KinesisJoinRecords On`, linger 100ms", ("KinesisJoinRecords On",), ("firehose",)),
    Setting("join-1s", "`KinesisJoinRecords On`, `KinesisLinger 1s`", ("KinesisJoinRecords On", "KinesisLinger 1s"),
            ("firehose",)),
    Setting("windows-join", "windows and `KinesisJoinRecords On`", ("KinesisBatchWindow 600s", "KinesisJoinRecords On"),
            ("firehose",), is_windowed=True),
)
CASES = [(service, setting) for setting in SETTINGS for service in setting.services]


def name_of(service: str, setting: Setting) -> str:
    return f"{service}-{setting.key}"


def configuration(aws: StandIn) -> str:
    sections = [connection(name_of(service, s), *s.lines, stream=name_of(service, s), service=service)
                for service, s in CASES]
    names = [name_of(service, s) for service, s in CASES]
    return defaults(aws.url) + "KinesisStoreLimit 16G\nKinesisDurability process\nKinesisStoreShare 100\n" + \
        "".join(sections) + location("/v2/events", *names)


def post_all(port: int, texts: list[bytes], rate: float) -> float:
    """Posts each once, at so many a second as far as the server keeps up; batches a second that it became."""
    begun, turn, lock, trouble = time.monotonic(), iter(enumerate(texts)), threading.Lock(), []

    def some() -> None:
        client = http.client.HTTPConnection(HOST, port, timeout=PATIENCE)
        while True:
            with lock:
                number, text = next(turn, (0, b""))
            if not text:
                return client.close()
            time.sleep(max(0.0, begun + number / rate - time.monotonic()))
            client.request("POST", "/v2/events", text, {"Content-Type": "application/json"})
            answer = client.getresponse()
            answer.read()
            if answer.status != 202:
                trouble.append(answer.status)

    posters = [threading.Thread(target=some) for _ in range(POSTERS)]
    for poster in posters:
        poster.start()
    for poster in posters:
        poster.join()
    if trouble:
        raise RuntimeError(f"answers that are not 202: {trouble[:5]}")
    return len(texts) / (time.monotonic() - begun)


def batches(path: Path, count: int) -> list[bytes]:
    """So many of a file, each with a number of its own, A_DEVICE of them of each device and user."""
    text = path.read_bytes().strip()
    made = []
    for number in range(count):
        whole = json.loads(text)
        device = number % (count // A_DEVICE)
        whole.update(source_request_id=f"{number:012}", mpid=f"{7346244611012000000 + device}",
                     mp_deviceid=f"01c4e1c4-3b6f-4f9c-9a51-{device:012x}")
        made.append(json.dumps(whole, separators=(",", ":")).encode())
    return made


def units(sizes: list[int]) -> dict[str, int]:
    """What is billed, by service: payload units of 25 KB; KiB, each record rounded up to 1 and to 5."""
    return {"put_units": sum(-(-n // (25 * KIB)) for n in sizes), "on_demand_kib": sum(-(-n // KIB) for n in sizes),
            "firehose_kib": sum(5 * -(-n // (5 * KIB)) for n in sizes)}


def arrived(aws: StandIn, stream: str) -> list[bytes]:
    return [entry.data for entry in aws.records(stream=stream)]


def events_in(records: list[bytes]) -> int:
    return sum(data.count(b'"event_type":') for data in records)


def one_size(size: int, folder: str, options: argparse.Namespace) -> list[dict]:
    path = made_batch(folder, size)
    count = max(40, min(options.batches, 8_000_000 // size)) // A_DEVICE * A_DEVICE
    texts = batches(path, count)
    names = {service: [name_of(of, s) for of, s in CASES if of == service] for service in ("streams", "firehose")}
    with StandIn(streams={name: {"on_demand": True} for name in names["streams"]},
                 delivery_streams={name: "DirectPut" for name in names["firehose"]}) as aws:
        server = Httpd(configuration(aws), prefix="kf-cost-", log_level="warn", mpm_lines="""
            ServerLimit 1
            StartServers 1
            ThreadsPerChild 16
            MaxRequestWorkers 16
            MaxSpareThreads 16""")
        # The level hides what a start is told by elsewhere.
        server._resumed = lambda looks=iter(range(10**9)): next(looks)
        try:
            server.start()
            rate = post_all(server.port, texts, options.rate)
            # Windows near the limit of a record leave by themselves, so not all uploads need be there at the end.
            wait_until(lambda: Index(server).is_made() and is_settled(server), "filing", PATIENCE)
            Index(server).pass_time(1000)
            expected = events_in(texts)
            for service, setting in CASES:
                stream = name_of(service, setting)
                wait_until(lambda: events_in(arrived(aws, stream)) >= expected, f"all of {stream}", PATIENCE)
            server.stop()
            calls = {c["stream"]: 0 for c in aws.calls()}
            for call in aws.calls():
                calls[call["stream"]] += call["accepted"] > 0
            return [result(service, s, size, texts, rate, arrived(aws, name_of(service, s)),
                           calls[name_of(service, s)]) for service, s in CASES]
        finally:
            server.close()


def is_settled(server: Httpd) -> bool:
    before = Index(server).uploads()
    return is_quiet(server) and is_quiet(server) and Index(server).uploads() == before


def result(service: str, setting: Setting, size: int, texts: list[bytes], rate: float, records: list[bytes],
           calls: int) -> dict:
    if events_in(records) != events_in(texts):
        raise RuntimeError(f"{events_in(records)} events arrived at {name_of(service, setting)}, not {events_in(texts)}")
    sizes = list(map(len, records))
    return {"service": service, "setting": setting.key, "size": size, "batch_bytes": len(texts[0]),
            "batches": len(texts), "batches_a_second": rate, "records": len(records), "bytes": sum(sizes),
            "calls": calls, **units(sizes)}


BILLED = {"streams": ("put_units", "on_demand_kib"), "firehose": ("firehose_kib",)}


def rows(found: dict, service: str) -> list[list[str]]:
    """For a thousand batches: what is billed, and how much more that is than the bytes sent."""
    head = ["batch", "setting", "records", "bytes a record", "records a call", "bytes a call"]
    head += {"streams": ["25 KB units", "1 KB steps, KiB", "to the bytes"],
             "firehose": ["5 KB steps, KiB", "to the bytes"]}[service]
    titles = {s.key: s.title for s in SETTINGS}
    table = [head]
    for one in (r for r in found["results"] if r["service"] == service):
        scale = 1000 / one["batches"]
        billed = one[BILLED[service][-1]]
        table.append([f"{one['batch_bytes']:,} B", titles[one["setting"]], f"{one['records'] * scale:,.0f}",
                      f"{one['bytes'] / one['records']:,.0f}", f"{one['records'] / one['calls']:.1f}",
                      f"{one['bytes'] / one['calls']:,.0f}", *(f"{one[m] * scale:,.0f}" for m in BILLED[service]),
                      f"{billed * KIB / one['bytes']:.2f}"])
    return table


MONTH_SECONDS = 730 * 3600
PRICES = {"put-units": ("streams", "put_units", 1e6, "a million PUT payload units"),
          "on-demand-gb": ("streams", "on_demand_kib", KIB * KIB, "a GB written on demand"),
          "firehose-gb": ("firehose", "firehose_kib", KIB * KIB, "a GB of direct put")}


def cost_rows(found: dict, prices: dict[str, float], rate: float) -> list[list[str]]:
    """A month's bill for what is put, at the operator's prices and batches a second."""
    titles = {s.key: s.title for s in SETTINGS}
    table = [["batch", "service", "setting", "by", "a month"]]
    for price, value in prices.items():
        service, member, scale, words = PRICES[price]
        for one in (r for r in found["results"] if r["service"] == service):
            month = one[member] / one["batches"] * rate * MONTH_SECONDS / scale * value
            table.append([f"{one['batch_bytes']:,} B", service, titles[one["setting"]], words, f"{month:,.2f}"])
    return table


def price(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    if name not in PRICES:
        raise argparse.ArgumentTypeError(f"{name}: one of {', '.join(PRICES)}")
    return name, float(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=200, help="batches a second that are posted")
    parser.add_argument("--batches", type=int, default=1000, help="of each size, fewer of the large ones")
    parser.add_argument("--size", type=int, action="append", help="bytes of a batch (several times: these)")
    parser.add_argument("--price", type=price, action="append", default=[], metavar="NAME=VALUE",
                        help="; ".join(f"{name}: of {words}" for name, (*_, words) in PRICES.items()))
    parser.add_argument("--month-rate", type=float, default=100, help="batches a second of the month that is reckoned")
    parser.add_argument("--from-json", type=Path, help="measure nothing, take these records")
    parser.add_argument("--json", type=Path, default=BUILD / "t" / "cost.json")
    parser.add_argument("--record", action="store_true", help="copy the JSON to docs/performance")
    options = parser.parse_args()
    end_tidily()
    if options.from_json:
        found = json.loads(options.from_json.read_text(encoding="utf-8"))
    else:
        found = {**machine(), "rate": options.rate, "a_device": A_DEVICE, "results": []}
        with tempfile.TemporaryDirectory(prefix="kf-cost-") as folder:
            for size in options.size or BATCH_BYTES:
                found["results"] += one_size(size, folder, options)
                print(f"  {size:,} bytes: done", file=sys.stderr)
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        if options.record:
            shutil.copy(options.json, RECORDED / "cost.json")
    for service in BILLED:
        print(f"\n{service}, of a thousand batches\n\n{markdown(rows(found, service))}")
    if options.price:
        print(f"\nA month at {options.month_rate:,.0f} batches a second, at the prices given\n")
        print(markdown(cost_rows(found, dict(options.price), options.month_rate)))
    if not options.from_json:
        print(f"\nAll numbers: {options.json}")


if __name__ == "__main__":
    main()
