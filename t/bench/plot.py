"""Curves as SVG, without any library: linear and logarithmic axes, light and dark by the reader's setting, a text
alternative in words and numbers. Knows nothing of what is drawn."""
from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Callable, Iterable

WIDTH, HEIGHT = 640, 372
LEFT, RIGHT, TOP, BOTTOM = 70, 16, 62, 72
# Told apart by colour, dashes and marks.
DASHES = ("", "7 4", "2 3", "9 3 2 3", "1 5")
STYLE = """
  svg { --paper: #ffffff; --ink: #1c1c1c; --dim: #5a5a5a; --grid: #dddddd;
        --c0: #0b5fae; --c1: #b3440c; --c2: #1c7a3c; --c3: #7b3fa0; --c4: #7a6a00; }
  @media (prefers-color-scheme: dark) {
    svg { --paper: #15181c; --ink: #ececec; --dim: #a8a8a8; --grid: #363b42;
          --c0: #6db5ff; --c1: #ff9d66; --c2: #6fd490; --c3: #cf9cf0; --c4: #e0cb4a; } }
  text { font: 13px system-ui, sans-serif; fill: var(--ink); }
  .title { font-size: 15px; font-weight: 600; } .dim { fill: var(--dim); font-size: 12px; }
  .paper { fill: var(--paper); } .grid { stroke: var(--grid); } .axis { stroke: var(--dim); }
  .line { fill: none; stroke-width: 2; } .spread { stroke-width: 1; opacity: .7; }
""" + "".join(f"  .s{i} {{ stroke: var(--c{i}); }} .m{i} {{ fill: var(--c{i}); }}\n" for i in range(5))


@dataclass
class Point:
    """A value with the smallest and the largest that were measured."""
    x: float
    y: float
    low: float
    high: float


@dataclass
class Series:
    name: str
    points: list[Point]


@dataclass
class Chart:
    title: str
    x_label: str           # with its unit
    y_label: str
    series: list[Series]
    x_log: bool = True     # an x of 0 stands to the left of the others
    y_log: bool = False
    target: float | None = None
    note: str = ""


def number(value: float) -> str:
    """Short, as a person writes it."""
    for limit, divisor, unit in ((1e6, 1e6, " M"), (1e4, 1e3, " k")):
        if abs(value) >= limit:
            return f"{value / divisor:.3g}{unit}"
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"


def nice_ticks(low: float, high: float, wanted: int = 6) -> list[float]:
    """Round numbers that cover the range."""
    raw = (high - low or abs(high) or 1) / wanted
    base = 10 ** math.floor(math.log10(raw))
    step = next(base * m for m in (1, 2, 2.5, 5, 10) if base * m >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, last + 1)]


def decades(low: float, high: float) -> list[float]:
    """Powers of ten that cover the range, with 2 and 5 where it is short."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = (1, 2, 5) if last - first <= 2 else (1,)
    ticks = [m * 10.0 ** e for e in range(first, last + 1) for m in steps]
    return [t for t in ticks if 10.0 ** first <= t <= 10.0 ** last]


def _x_scale(chart: Chart) -> Callable[[float], float]:
    values = sorted({p.x for s in chart.series for p in s.points})
    least = min((v for v in values if v > 0), default=1.0)

    def place(x: float) -> float:
        if not chart.x_log:
            return x
        return math.log10(x) if x > 0 else math.log10(least) - 0.7

    low, high = place(values[0]), place(values[-1])
    room = WIDTH - LEFT - RIGHT - 30
    return lambda x: LEFT + 15 + (room * (place(x) - low) / (high - low) if high > low else room / 2)


def _y_ticks(chart: Chart) -> list[float]:
    values = [v for s in chart.series for p in s.points for v in (p.low, p.high)]
    if chart.target is not None:
        values.append(chart.target)
    if chart.y_log and min(values) > 0:
        return decades(min(values), max(values))
    return nice_ticks(0, max(values) or 1)


def _y_scale(chart: Chart, ticks: list[float]) -> Callable[[float], float]:
    is_log = chart.y_log and ticks[0] > 0
    place = math.log10 if is_log else float
    low, high = place(ticks[0]), place(ticks[-1])
    return lambda y: HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (place(y) - low) / (high - low)


def _text(x: float, y: float, words: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(words)}</text>'


def _axes(chart: Chart, at_x: Callable, at_y: Callable, ticks: list[float]) -> Iterable[str]:
    bottom = HEIGHT - BOTTOM
    for tick in ticks:
        y = at_y(tick)
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
        yield _text(LEFT - 8, y + 4, number(tick), 'text-anchor="end"')
    free = 0.0
    for x in sorted({p.x for s in chart.series for p in s.points}):
        label = number(x)
        half = 3.8 * len(label)
        yield f'<path class="axis" d="M{at_x(x):.1f} {bottom}v5"/>'
        if at_x(x) - half > free:
            yield _text(at_x(x), bottom + 20, label, 'text-anchor="middle"')
            free = at_x(x) + half + 4
    yield f'<path class="axis" fill="none" d="M{LEFT} {TOP}V{bottom}H{WIDTH - RIGHT}"/>'
    yield _text((LEFT + WIDTH - RIGHT) / 2, bottom + 42, chart.x_label, 'text-anchor="middle"')
    middle = (TOP + bottom) / 2
    yield _text(16, middle, chart.y_label, f'text-anchor="middle" transform="rotate(-90 16 {middle:.1f})"')


def _mark(i: int, x: float, y: float) -> str:
    shapes = (f'<circle class="m{i}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>',
              f'<rect class="m{i}" x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8"/>',
              f'<path class="m{i}" d="M{x:.1f} {y - 5:.1f}l5 9h-10z"/>',
              f'<path class="m{i}" d="M{x:.1f} {y - 5:.1f}l5 5l-5 5l-5-5z"/>')
    return shapes[i % len(shapes)]


def _curve(i: int, series: Series, at_x: Callable, at_y: Callable) -> Iterable[str]:
    places = [(at_x(p.x), at_y(p.y)) for p in series.points]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    yield f'<path class="line s{i}" stroke-dasharray="{DASHES[i % len(DASHES)]}" d="{path}"/>'
    for point, (x, y) in zip(series.points, places):
        if point.high > point.low:
            yield f'<path class="spread s{i}" d="M{x:.1f} {at_y(point.low):.1f}V{at_y(point.high):.1f}"/>'
        yield _mark(i, x, y)


def _legend(chart: Chart) -> Iterable[str]:
    x = float(LEFT)
    for i, series in enumerate(chart.series):
        yield f'<path class="line s{i}" stroke-dasharray="{DASHES[i % len(DASHES)]}" d="M{x:.0f} 44h26"/>'
        yield _mark(i, x + 13, 44)
        yield _text(x + 32, 48, series.name)
        x += 46 + 6.6 * len(series.name)


def in_words(chart: Chart) -> str:
    """The text alternative."""
    parts = [f"{chart.y_label} by {chart.x_label}."]
    for series in chart.series:
        parts.append(f"{series.name}: " + ", ".join(f"{number(p.y)} at {number(p.x)}" for p in series.points) + ".")
    if chart.target is not None:
        parts.append(f"To be reached: {number(chart.target)}.")
    return " ".join(parts)


def svg(chart: Chart) -> str:
    ticks = _y_ticks(chart)
    at_x, at_y = _x_scale(chart), _y_scale(chart, ticks)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
             'aria-labelledby="title words">',
             f'<title id="title">{escape(chart.title)}</title>', f'<desc id="words">{escape(in_words(chart))}</desc>',
             f"<style>{STYLE}</style>", f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}"/>',
             _text(LEFT, 24, chart.title, 'class="title"'), *_axes(chart, at_x, at_y, ticks)]
    if chart.target is not None:
        y = at_y(chart.target)
        parts.append(f'<path class="axis" stroke-dasharray="4 4" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
    for i, series in enumerate(chart.series):
        parts += _curve(i, series, at_x, at_y)
    parts += _legend(chart)
    parts.append(_text(WIDTH - RIGHT, HEIGHT - 6, chart.note, 'class="dim" text-anchor="end"'))
    return "\n".join(parts) + "\n</svg>\n"


def draw(chart: Chart, path: Path) -> None:
    path.write_text(svg(chart), encoding="utf-8")
