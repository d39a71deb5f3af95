"""Prints a benchmark's figures, keeps them in a file of its name, and says whether they meet their bars."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def report(name: str, figures: Mapping[str, float], bars: Mapping[str, float], *, keep: bool) -> int:
    """Print every figure beside its bar.

    :param bars: by figure; what must not be reached.
    :param keep: whether the results' file is rewritten.
    :return: 0 if every bar was met, else 1.
    """
    for figure, value in figures.items():
        bar = bars.get(figure)
        verdict = "" if bar is None else f"  (bar {bar:g}: {'met' if value < bar else 'MISSED'})"
        print(f"{figure:32} {value:12,.2f}{verdict}")
    if keep:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.json").write_text(json.dumps(dict(figures), indent=2) + "\n")
    return int(any(figures[figure] >= bar for figure, bar in bars.items()))
