"""Reports of the results: a table for the terminal, `docs/performance.md` and its plot.

    python -m bench.report [bench/results/FILE.jsonl]

updates the document from these results, by default the latest.
"""

import json
import os
import sys
from html import escape
from pathlib import Path
from statistics import median
from typing import Any

from bench.rows import ROWS
from bench.systems import OURS, PEERS, SYSTEMS, TEMPLATES

Results = list[dict[str, Any]]

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs" / "performance.md"
PLOT = ROOT / "bench" / "results" / "performance.svg"
BEGIN, END = "<!-- made by bench/report.py -->\n", "<!-- end -->\n"

# Requests per second, lean and full, as a multiple of the fastest peer.
TARGETS = {
    "by-id": (1.3, 1.0),
    "page-20": (1.8, 1.3),
    "page-100": (2.0, 1.6),
    "orders": (1.0, 1.0),
    "create": (1.7, 1.2),
    "change": (1.5, 1.1),
}
MEASURED = ("p50", "p99", "cpu", "sql_cpu", "memory")
OVER_TEMPLATES, OVER_LIMIT, UNCHANGED, LOGIN = 2.0, 2.0, 1.5, 1.05


class Figures:
    """Looks results up by row and system."""

    def __init__(self, results: Results) -> None:
        self.about = results[0]
        self._rounds = [each for each in results if "round" in each]
        self._trips = [each for each in results if "sql_trips" in each]
        found = {each["row"] for each in self._rounds}
        self.rows = [row for name, row in ROWS.items() if name in found]

    def all(self, row: str, system: str, what: str) -> list[float]:
        """The values of all rounds, in order of size."""
        return sorted(
            each[what] for each in self._rounds if (each["row"], each["system"]) == (row, system)
        )

    def mid(self, row: str, system: str, what: str = "rate") -> float | None:
        """The median over the rounds; None where it was not measured."""
        values = self.all(row, system, what)
        return median(values) if values else None

    def trips(self, row: str, system: str) -> str:
        """Round trips to PostgreSQL, and to Redis where there are any."""
        for each in self._trips:
            if (each["row"], each["system"]) == (row, system):
                redis = f" + {each['redis_trips']:.0f}" if each["redis_trips"] else ""
                return f"{each['sql_trips']:.0f}{redis}"
        return "-"

    def best(self, row: str, systems: tuple[str, ...]) -> float | None:
        """The highest median rate among the systems."""
        return max((rate for name in systems if (rate := self.mid(row, name))), default=None)

    def systems(self, row: str) -> list[str]:
        """The names of the systems measured on a row."""
        return [name for name in SYSTEMS if self.mid(row, name)]


def table(results: Results) -> str:
    """The comparison with the targets, and a Markdown table per row."""
    figures = Figures(results)
    parts = []
    head = (
        "| system | requests/s (min-max) | p50 ms | p99 ms | server CPU s per 1,000 | times limit |"
        " PostgreSQL CPU s | SQL (+ Redis) round trips | RSS per worker |\n"
        "| --- " + "| ---: " * 8 + "|"
    )
    for row in figures.rows:
        floor = figures.mid(row.name, "limit", "cpu")
        lines = [f"**{row.title}**\n", head]
        for name in figures.systems(row.name):
            rates = figures.all(row.name, name, "rate")
            at = {what: figures.mid(row.name, name, what) or 0 for what in MEASURED}
            times = f"{at['cpu'] / floor:.2f}" if floor else "-"
            lines.append(
                f"| {SYSTEMS[name].title} | {median(rates):,.0f} ({rates[0]:,.0f}-{rates[-1]:,.0f})"
                f" | {at['p50']:.1f} | {at['p99']:.1f} | {at['cpu']:.2f} | {times}"
                f" | {at['sql_cpu']:.2f} | {figures.trips(row.name, name)}"
                f" | {at['memory']:.0f} MB |"
            )
        parts.append("\n".join(lines))
    return "\n\n".join([targets(figures), *parts])


def targets(figures: Figures) -> str:
    """Our results and the targets, also by CPU, which depends less on other load."""
    lines = [
        "| row | ratio | target | measured | by CPU | |",
        "| --- | --- | ---: | ---: | ---: | --- |",
    ]

    def more(row: str, what: str, wanted: float, rates: float | None, cpus: float | None) -> None:
        if rates and cpus:
            verdict = "met" if rates >= wanted else "**missed**"
            title = ROWS[row].title
            lines.append(
                f"| {title} | {what} | ≥ {wanted} | {rates:.2f} | {cpus:.2f} | {verdict} |"
            )

    def less(row: str, what: str, wanted: float, cpus: float | None) -> None:
        if cpus:
            verdict = "met" if cpus <= wanted else "**missed**"
            lines.append(f"| {ROWS[row].title} | {what} | ≤ {wanted} | | {cpus:.2f} | {verdict} |")

    for row in (row.name for row in figures.rows):
        for ours, wanted in zip(("lean", "full"), TARGETS.get(row, ()), strict=False):
            more(row, f"{ours} / fastest peer", wanted, *_against(figures, row, ours, PEERS))
        if row not in ("login", "argon2id"):
            what = "full / fastest of FastAPI's template, DRF, tutorial Flask"
            more(row, what, OVER_TEMPLATES, *_against(figures, row, "full", TEMPLATES))
            lean, limit = (figures.mid(row, each, "cpu") for each in ("lean", "limit"))
            less(row, "lean / limit", OVER_LIMIT, lean and limit and lean / limit)
    for ours in OURS:
        short, whole = figures.mid("unchanged", ours), figures.mid("page-100", ours)
        short_cpu, whole_cpu = (
            figures.mid("unchanged", ours, "cpu"),
            figures.mid("page-100", ours, "cpu"),
        )
        if short and whole and short_cpu and whole_cpu:
            what = f"{ours}: 304 / full response"
            more("unchanged", what, UNCHANGED, short / whole, whole_cpu / short_cpu)
        login, hashing = figures.mid("login", ours, "cpu"), figures.mid("argon2id", "limit", "cpu")
        less("login", f"{ours} / argon2id alone", LOGIN, login and hashing and login / hashing)
    return "\n".join(lines)


def _against(
    figures: Figures, row: str, ours: str, others: tuple[str, ...]
) -> tuple[float | None, float | None]:
    """The speed of ours as a multiple of the fastest of the others: by requests/s, and by CPU."""
    rates = [rate for name in others if (rate := figures.mid(row, name))]
    costs = [cost for name in others if (cost := figures.mid(row, name, "cpu"))]
    mine, cost = figures.mid(row, ours), figures.mid(row, ours, "cpu")
    if not (rates and mine and cost):
        return None, None
    return mine / max(rates), min(costs) / cost


def plot(results: Results) -> str:
    """Requests per second of each system as bars with their range, grouped by row, as SVG."""
    figures = Figures(results)
    rows = [row for row in figures.rows if row.name not in ("login", "argon2id")]
    bar, gap, left, width = 14, 34, 250, 560
    colours = {"full": "#1a5fb4", "lean": "#62a0ea", "limit": "#9a9996"}
    most = max(figures.best(row.name, tuple(SYSTEMS)) or 0 for row in rows)
    drawn, y = [], 12
    for row in rows:
        y += 18
        drawn.append(_text(8, y, row.title, "font-weight='bold'"))
        y += 8
        for name in figures.systems(row.name):
            rates = figures.all(row.name, name, "rate")
            low, mid, high = (width * x / most for x in (rates[0], median(rates), rates[-1]))
            fill = colours.get(name, "#e5a50a")
            drawn += [
                _text(left - 8, y + 11, SYSTEMS[name].title, "text-anchor='end'"),
                f"<rect x='{left}' y='{y}' width='{mid:.1f}' height='{bar - 2}' fill='{fill}'/>",
                f"<path d='M{left + low:.1f} {y + 6}H{left + high:.1f}' stroke='black'/>",
                _text(left + max(mid, high) + 6, y + 11, f"{median(rates):,.0f}", ""),
            ]
            y += bar
        y += gap - 18
    size = f"width='{left + width + 80}' height='{y}'"
    style = "font-family='sans-serif' font-size='11'"
    background = "<rect width='100%' height='100%' fill='white'/>"
    title = "<title>Requests per second, medians with minimum and maximum</title>"
    body = "\n".join([title, background, *drawn])
    return f"<svg xmlns='http://www.w3.org/2000/svg' {size} {style}>\n{body}\n</svg>\n"


def _text(x: float, y: float, text: str, more: str) -> str:
    return f"<text x='{x:.1f}' y='{y}' {more}>{escape(text)}</text>"


def write(file: Path) -> None:
    """Write the plot, and the generated part of the document."""
    results = [json.loads(line) for line in file.read_text().splitlines()]
    about = results[0]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    intro = (
        f"Measured {about['date'][:10]} at commit {about['commit']}: {about['processor']},"
        f" {about['cores']} cores, Python {about['python']}, PostgreSQL {about['postgresql']},"
        f" {versions}; {about['rounds']} rounds of {about['seconds']} s with"
        f" {about['connections']} connections. Load of the machine before it: {about['load']:.1f}."
    )
    before, _, more = DOCUMENT.read_text().partition(BEGIN)
    _, _, after = more.partition(END)
    link = os.path.relpath(PLOT, DOCUMENT.parent)
    generated = f"{intro}\n\n![Requests per second]({link})\n\n{table(results)}\n"
    DOCUMENT.write_text(f"{before}{BEGIN}{generated}{END}{after}")
    PLOT.write_text(plot(results))


if __name__ == "__main__":
    files = [Path(name) for name in sys.argv[1:]]
    write(files[0] if files else sorted((ROOT / "bench" / "results").glob("*.jsonl"))[-1])
