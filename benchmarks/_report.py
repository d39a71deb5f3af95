"""Prints the figures of a benchmark, keeps them in a file of its name, and checks them against their limits."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from attrs import asdict, field, frozen

RESULTS = Path(__file__).parent / "results"


@frozen(kw_only=True)
class Row:
    """What one client did in one scenario.

    :param bars: by figure; the most that it may be.
    """

    scenario: str = ""
    client: str = ""
    figures: Mapping[str, float]
    bars: Mapping[str, float] = field(factory=dict)

    def missed(self) -> list[str]:
        """Return the figures beyond their limits; one that is absent counts as beyond."""
        return [name for name, bar in self.bars.items() if not self.figures.get(name, float("nan")) <= bar]

    def cell(self, name: str) -> str:
        """Format a figure, with its limit."""
        if name not in self.figures:
            return "not measured: MISSED" if name in self.bars else ""
        value = number(self.figures[name])
        if name not in self.bars:
            return value
        return f"{value} (<= {self.bars[name]:g}: {'MISSED' if name in self.missed() else 'met'})"


def number(value: float) -> str:
    """Format a number with its significant digits."""
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:,.4g}"


def report(name: str, figures: Mapping[str, float], bars: Mapping[str, float], *, keep: bool) -> int:
    """Print one client's figures, and keep them.

    :param bars: by figure; the most that it may be.
    :param keep: whether the results' file is rewritten.
    :return: 0 if every limit was met, else 1.
    """
    return tabulate(name, [Row(figures=figures, bars=bars)], keep=keep)


def tabulate(name: str, rows: Sequence[Row], *, keep: bool) -> int:
    """Print a table, and keep it.

    :param keep: whether the results' file is rewritten.
    :return: 0 if every limit was met, else 1.
    """
    print(aligned(table(rows)))
    for row in rows:
        for figure in row.missed():
            print(f"MISSED: {name}, {row.scenario} {row.client}: {figure} {row.cell(figure)}")
    if keep:
        RESULTS.mkdir(exist_ok=True)
        text = json.dumps([asdict(row) for row in rows], indent=2)
        (RESULTS / f"{name}.json").write_text(text + "\n")
    return int(any(row.missed() for row in rows))


def kept(name: str) -> list[Row]:
    """Read the rows of a results' file; a plain object of figures is one row."""
    found = json.loads((RESULTS / f"{name}.json").read_text())
    if isinstance(found, dict):
        return [Row(figures=found)]
    return [Row(**row) for row in found]


def table(rows: Iterable[Row]) -> list[list[str]]:
    """Return a head and a line per row, without empty columns."""
    rows = list(rows)
    names = list(dict.fromkeys(name for row in rows for name in (*row.figures, *row.bars)))
    lines = [
        ["scenario", "client", *names],
        *([row.scenario, row.client, *(row.cell(name) for name in names)] for row in rows),
    ]
    filled = [any(line[column] for line in lines[1:]) for column in range(len(lines[0]))]
    return [[cell for cell, wanted in zip(line, filled, strict=True) if wanted] for line in lines]


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Format a table for a terminal."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
