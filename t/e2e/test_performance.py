"""What conf/performance.conf recommends is served with, and what the benches draw can be read."""
from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from typing import Callable

import pytest

from configs import batch, one_of_each, unique
from httpd_server import SOURCE, Httpd
from ledger import assert_exactly
from standin import StandIn

sys.path.append(str(SOURCE / "t" / "bench"))
import curves  # noqa: E402
from plot import Chart, Point, Series, svg  # noqa: E402

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("mpm", ["event", "worker"])
def test_the_recommended_settings_are_served_with(mpm: str, aws: StandIn, httpd: Callable[..., Httpd]) -> None:
    text = (SOURCE / "conf" / "performance.conf").read_text(encoding="utf-8")
    server = httpd(text + one_of_each(aws.url), mpm=mpm, modules=("reqtimeout",))
    one = unique()
    assert server.post("/v2/events", batch(one)).status == 202
    assert_exactly(aws, [one])


def chart(**more: object) -> Chart:
    points = [Point(0, 10, 9, 12), Point(10, 20, 20, 20), Point(1000, 1500, 1000, 1700)]
    return Chart("A <title> & more", "records", "microseconds", [Series("one", points), Series("two", points[:2])], **more)


@pytest.mark.parametrize("y_log", [False, True])
def test_a_curve_is_drawn_within_its_axes_and_says_its_numbers(y_log: bool) -> None:
    root = ElementTree.fromstring(svg(chart(y_log=y_log, target=100.0)))
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    marks = root.findall(f"{SVG}circle")
    assert len(marks) == 3 + 1
    places = [(float(m.attrib["cx"]), float(m.attrib["cy"])) for m in marks[:3]]
    assert all(0 < x < width and 0 < y < height for x, y in places)
    assert [x for x, _ in places] == sorted(x for x, _ in places) and len({x for x, _ in places}) == 3
    assert places[0][1] > places[1][1] > places[2][1]
    assert root.findtext(f"{SVG}title") == "A <title> & more"
    assert "1,500 at 1,000" in root.findtext(f"{SVG}desc")
    assert "prefers-color-scheme: dark" in root.findtext(f"{SVG}style")


def a_run(x: float, posts: float, empty: float) -> dict:
    def of(rate: float) -> dict:
        return {"posts_a_second": rate, "cpu_us": 1e6 / rate}
    return {"x": x, "series": "", "round": 0, "ours": of(posts), "empty": of(empty)}


def test_a_point_is_the_median_of_the_rounds_own_ratios() -> None:
    runs = [a_run(1, 50, 100), a_run(1, 90, 100), a_run(1, 400, 500), a_run(8, 300, 400)]
    found = {"curve": "senders", "durability": "disk", "machine": "here", "date": "today", "runs": runs}
    points = curves.charts(found)["ratio"].series[0].points
    assert [(p.x, p.y, p.low, p.high) for p in points] == [(1, .8, .5, .9), (8, .75, .75, .75)]
    assert curves.table(found)[1][:2] == ["1", "0.8"]
