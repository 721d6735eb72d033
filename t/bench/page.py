"""make performance-page: writes the tables and curves of docs/performance.md out of docs/performance/*.json, which the
benches leave there with --record. Everything between <!-- begin NAME --> and <!-- end NAME --> is made anew; what stands
around it is written by hand. With --check nothing is written: fails where the page or a curve is not what the JSON gives.
"""
from __future__ import annotations

import argparse
import re
import sys
import tempfile
from pathlib import Path
from typing import Callable

import bench
import cost
import curves
import settings
from measure import HERE

DOCS = HERE.parents[1] / "docs"
PAGE = DOCS / "performance.md"
FOLDER = DOCS / "performance"
PART = re.compile(r"(<!-- begin ([\w-]+) -->\n).*?(<!-- end \2 -->)", re.S)
COMMANDS = {"bench": "make bench BENCH_FLAGS='--runs 3 --record'", "scrape": "make bench BENCH_FLAGS='--scrape --record'",
            "settings": "make bench-settings SETTINGS_FLAGS=--record", "cost": "make bench-cost COST_FLAGS=--record",
            **{name: f"make bench-scaling SCALING_FLAGS='--only {name} --record'" for name in curves.CURVES}}


def where(found: dict) -> str:
    return f"{found['machine']}; {found['date']}."


def bench_part(found: dict) -> str:
    parts = [f"{where(found)} Medians of {len(found['runs'])} run(s); batches of {found['batch_bytes']} bytes."]
    for title, rows in bench.tables(found).items():
        parts += [f"**{title}**", curves.markdown(rows)]
    return "\n\n".join(parts)


def scrape_part(found: dict) -> str:
    return f"{where(found)}\n\n{curves.markdown(bench.scrape_rows(found))}"


def settings_part(found: dict) -> str:
    return f"{where(found)}\n\n{curves.markdown(settings.rows(found))}"


def cost_part(found: dict) -> str:
    parts = [f"Counted on {found['date']}, at {found['rate']:.0f} batches a second into one child, "
             f"{found['a_device']} batches of each device. For a thousand batches:"]
    for service, title in (("streams", "Kinesis Data Streams"), ("firehose", "Data Firehose")):
        parts += [f"**{title}**", curves.markdown(cost.rows(found, service))]
    return "\n\n".join(parts)


def curve_part(found: dict) -> str:
    rounds = 1 + max(run["round"] for run in found["runs"])
    pictures = [f"![{chart.title}: {chart.y_label} by {chart.x_label}](performance/{found['curve']}-{suffix}.svg)"
                for suffix, chart in curves.charts(found).items()]
    return "\n\n".join([f"{where(found)} {found['durability'].capitalize()}; {rounds} round(s) of {found['seconds']} s; "
                        "the thin lines go from the least to the most.", "\n".join(pictures),
                        curves.markdown(curves.table(found))])


PARTS: dict[str, Callable[[dict], str]] = {
    "bench": bench_part, "scrape": scrape_part, "settings": settings_part, "cost": cost_part,
    **{name: curve_part for name in curves.CURVES}}


def part(name: str) -> str:
    path = FOLDER / f"{name}.json"
    if not path.exists():
        return f"Nothing is recorded here yet: `{COMMANDS[name]}`, then `make performance-page`."
    return PARTS[name](curves.read(path))


def page(text: str) -> str:
    names = [match[2] for match in PART.finditer(text)]
    if sorted(names) != sorted(PARTS):
        sys.exit(f"{PAGE}: has the parts {sorted(names)}, not {sorted(PARTS)}")
    return PART.sub(lambda match: f"{match[1]}{part(match[2])}\n{match[3]}", text)


def draw_into(folder: Path) -> list[Path]:
    return [path for name in curves.CURVES if (FOLDER / f"{name}.json").exists()
            for path in curves.draw_all(curves.read(FOLDER / f"{name}.json"), folder)]


def check() -> list[str]:
    """What is not as the JSON gives it."""
    text = PAGE.read_text(encoding="utf-8")
    wrong = [] if page(text) == text else [str(PAGE)]
    with tempfile.TemporaryDirectory() as folder:
        made = {path.name: path.read_bytes() for path in draw_into(Path(folder))}
    there = {path.name: path.read_bytes() for path in FOLDER.glob("*.svg")}
    return wrong + [str(FOLDER / name) for name in sorted(made.keys() | there.keys()) if made.get(name) != there.get(name)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if options.check:
        wrong = check()
        for name in wrong:
            print(f"{name} is not what docs/performance/*.json gives: make performance-page")
        sys.exit(1 if wrong else 0)
    for path in FOLDER.glob("*.svg"):
        path.unlink()
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print("\n".join(map(str, [PAGE, *draw_into(FOLDER)])))


if __name__ == "__main__":
    main()
