"""What the scaling curves are: their points' names, axes and charts, made of the raw runs that scaling.py wrote as
JSON. Measures nothing, so that pages and curves can be made again anywhere."""
from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from plot import Chart, Point, Series, draw, number


@dataclass(frozen=True)
class View:
    """One chart of a curve: which number of a run, for which handler."""
    suffix: str
    title: str
    y_label: str
    lines: tuple[tuple[str, str, Callable[[dict], float | None]], ...]  # series of the points, name, number of a run
    y_log: bool = False


def _ratio(run: dict) -> float | None:
    return run["ours"]["posts_a_second"] / run["empty"]["posts_a_second"] if run.get("empty") else None


def _of(handler: str, member: str, scale: float = 1) -> Callable[[dict], float | None]:
    return lambda run: run[handler][member] * scale if run.get(handler) and member in run[handler] else None


def _a_record(run: dict) -> float | None:
    ours = run["ours"]
    return ours["cpu_us"] * ours["accepted"] / ours["extra"]["records"] if ours["extra"]["records"] else None


def _a_byte(handler: str) -> Callable[[dict], float | None]:
    return lambda run: run[handler]["cpu_us"] * 1000 / run["bytes"] if run.get(handler) else None


RATIO = View("ratio", "Posts a second beside the empty handler's", "ratio to the empty handler",
             (("", "the module", _ratio),))
CPU = View("cpu", "Processor time of a batch", "microseconds a batch",
           (("", "the module", _of("ours", "cpu_us")), ("", "the empty handler", _of("empty", "cpu_us"))))


@dataclass(frozen=True)
class Curve:
    title: str
    x_label: str
    views: tuple[View, ...]


CURVES = {
    "senders": Curve("Senders at once", "connections of senders, each with one post at a time", (RATIO, CPU)),
    "children": Curve("Children of httpd", "children, with 80 threads each", (RATIO, CPU)),
    "connections": Curve("Connections", "connections configured", (
        View("ratio", "Posts a second beside the empty handler's", "ratio to the empty handler",
             (("fan-out", "each batch goes to all", _ratio), ("elsewhere", "to one, the others wait", _ratio))),
        View("cpu", "Processor time", "microseconds",
             (("fan-out", "a batch that goes to all", _of("ours", "cpu_us")), ("fan-out", "a record of it", _a_record),
              ("elsewhere", "a batch that goes to one", _of("ours", "cpu_us"))), y_log=True))),
    "batch-size": Curve("Size of a batch", "bytes of a batch", (
        RATIO, View("cpu", "Processor time of a batch", "microseconds a batch", CPU.lines, y_log=True),
        View("byte", "Processor time of a byte", "nanoseconds a byte",
             (("", "the module", _a_byte("ours")), ("", "the empty handler", _a_byte("empty")),
              ("", "scan, filter and rewrite alone", lambda run: run["rewrite"]["ours_ns"] / run["bytes"])),
             y_log=True))),
    "backlog": Curve("Backlog", "records that wait", (
        View("ratio", "Posts a second beside the empty handler's, AWS being away", "ratio to the empty handler",
             (("", "the module", _ratio),)),
        View("cpu", "Processor time", "microseconds",
             (("", "a batch accepted, AWS being away", _of("ours", "cpu_us")),
              ("", "a record read back and delivered", _of("ours", "readback_cpu_us")))),
        View("readback", "Records read back and delivered, once AWS is there again", "records a second",
             (("", "without new batches", _of("ours", "readback_a_second")),)),
        View("memory", "Memory of the largest child", "MiB",
             (("", "with the backlog", _of("ours", "backlog_kib", 1 / 1024)),
              ("", "and reading it back", _of("ours", "readback_kib", 1 / 1024)))))),
    "windows": Curve("Open windows", "windows open at the start", (
        View("ratio", "Posts a second beside the empty handler's", "ratio to the empty handler",
             (("new", "batches of new devices", _ratio), ("open", "of devices with a window", _ratio))),
        View("cpu", "Processor time of a batch, filing included", "microseconds a batch",
             (("new", "a new device's", _of("ours", "cpu_us")), ("open", "into an open window", _of("ours", "cpu_us")))),
        View("memory", "Memory of the largest child", "MiB",
             (("new", "the module", _of("ours", "child_kib", 1 / 1024)),)))),
}


def _values(found: dict, x: float, series: str, get: Callable[[dict], float | None]) -> list[float]:
    runs = [run for run in found["runs"] if run["x"] == x and (not series or run["series"] == series)]
    return [value for value in map(get, runs) if value is not None]


def _points(found: dict, series: str, get: Callable[[dict], float | None]) -> list[Point]:
    points = []
    for x in sorted({run["x"] for run in found["runs"]}):
        values = _values(found, x, series, get)
        if values:
            points.append(Point(x, statistics.median(values), min(values), max(values)))
    return points


def charts(found: dict) -> dict[str, Chart]:
    """By suffix of the file's name; found is what scaling.py wrote."""
    curve = CURVES[found["curve"]]
    made = {}
    for view in curve.views:
        series = [Series(name, _points(found, of, get)) for of, name, get in view.lines]
        series = [s for s in series if s.points]
        if series:
            made[view.suffix] = Chart(view.title, curve.x_label, view.y_label, series, y_log=view.y_log,
                                      note=f"{found['durability']}, {found['machine']}, {found['date']}")
    return made


def table(found: dict) -> list[list[str]]:
    """Head and rows: a row each number of the axis, a column each line of the charts."""
    made = charts(found)
    head = [CURVES[found["curve"]].x_label]
    columns = []
    for chart in made.values():
        for series in chart.series:
            head.append(f"{chart.y_label}: {series.name}" if len(chart.series) > 1 else chart.y_label)
            columns.append({p.x: number(p.y) for p in series.points})
    xs = sorted({x for column in columns for x in column})
    return [head] + [[number(x)] + [column.get(x, "") for column in columns] for x in xs]


def markdown(rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def draw_all(found: dict, folder: Path) -> list[Path]:
    paths = []
    for suffix, chart in charts(found).items():
        path = folder / f"{found['curve']}-{suffix}.svg"
        draw(chart, path)
        paths.append(path)
    return paths


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))
