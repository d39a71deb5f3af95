"""Runs every benchmark, each in a process of its own, and writes the page and its plots from the results' files.

``uv run --group bench python -m benchmarks [--quick]``: a benchmark that misses a limit stops no other. Quick runs
keep no results. ``--page`` only writes the page again.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

from attrs import evolve, frozen

from benchmarks._report import RESULTS, Row, kept, table

_HERE = Path(__file__).parent
_PAGE = _HERE / "README.md"
_HEAD = """# Benchmarks

Figures that are counted in virtual time are exact and repeatable; times are of one machine, and mean something only
beside the other rows. `uv run --group bench python -m benchmarks` runs all benchmarks and writes this page; `--quick`
makes each short and keeps no results.
"""


@frozen
class Benchmark:
    """A module that can be run, and the first paragraph of its docstring."""

    name: str
    title: str

    @property
    def has_results(self) -> bool:
        """Whether a whole run has left a results' file."""
        return (RESULTS / f"{self.name}.json").exists()

    def run(self, options: Sequence[str]) -> bool:
        """Run it; return whether it met its limits."""
        print(f"\n== {self.name}: {self.title}", flush=True)
        done = subprocess.run([sys.executable, "-m", f"benchmarks.{self.name}", *options], check=False)
        return done.returncode == 0

    def section(self) -> str:
        """Return its part of the page."""
        plots = [f"![{plot.stem}](results/{plot.name})" for plot in RESULTS.glob(f"{self.name}.png")]
        command = f"`uv run --group bench python -m benchmarks.{self.name}`"
        return "\n\n".join([f"## {self.name}", self.title, command, markdown(table(kept(self.name))), *plots]) + "\n"


def benchmarks() -> Iterator[Benchmark]:
    """Find every module here that has a ``main``, without importing any."""
    for path in sorted(_HERE.glob("[!_]*.py")):
        tree = ast.parse(path.read_text())
        if any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body):
            title = (ast.get_docstring(tree) or "").partition("\n\n")[0]
            yield Benchmark(path.stem, " ".join(title.split()))


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """Format a table for the page."""
    head, *rest = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([head, "|" + " --- |" * len(lines[0]), *rest])


def plot_polling(axes: Any, rows: Sequence[Row]) -> None:
    """Plot requests against latency: the best is in the corner. A number leads to the scenario's name."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(row.scenario for row in rows), 1)}
    for client in dict.fromkeys(row.client for row in rows):
        points = [(row.figures["requests"], row.figures["latency_mean"]) for row in rows if row.client == client]
        axes.scatter(*zip(*points, strict=True), label=client)
    for row in rows:
        point = row.figures["requests"], row.figures["latency_mean"]
        axes.annotate(numbers[row.scenario], point, xytext=(4, 4), textcoords="offset points", fontsize=8)
    axes.margins(0.1)
    axes.set(xlabel="requests per job", ylabel="detection latency in seconds, mean", xlim=(0, None), ylim=(0, None))
    axes.figure.legend(loc="outside upper right", ncols=2)
    names = "\n".join(f"{number}  {name}" for name, number in numbers.items())
    axes.text(1.02, 0.5, names, transform=axes.transAxes, fontsize=8, verticalalignment="center")


def plot_makespan(axes: Any, rows: Sequence[Row]) -> None:
    """Plot how much longer each took than the best schedule."""
    name = "percent beyond the best schedule"
    plot_bars(name, axes, [evolve(row, figures={name: 100 * (row.figures["makespan"] - 1)}) for row in rows])


def plot_bars(figure: str, axes: Any, rows: Sequence[Row]) -> None:
    """Plot one figure of every row that has it."""
    found = [row for row in rows if figure in row.figures][::-1]
    names = [", ".join(filter(None, (row.scenario, row.client))) for row in found]
    axes.barh(names, [row.figures[figure] for row in found])
    axes.tick_params(axis="y", labelsize=7)
    axes.set(xlabel=figure.replace("_", " "))


Draw = Callable[[Any, Sequence[Row]], None]
_PLOTS: Mapping[str, Draw] = MappingProxyType(
    {
        "polling": plot_polling,
        "admission": plot_makespan,
        "overhead": partial(plot_bars, "cpu_ms_per_job"),
    }
)


def plot(name: str, draw: Draw) -> None:
    """Draw the results of a benchmark; the file does not depend on when it was made."""
    figure, axes = import_module("matplotlib.pyplot").subplots(figsize=(9, 5), layout="constrained")
    draw(axes, kept(name))
    figure.savefig(RESULTS / f"{name}.png", dpi=110, metadata={"Software": None})


def plot_all(found: Sequence[Benchmark]) -> None:
    """Draw every plot; without matplotlib the existing files stay."""
    if find_spec("matplotlib") is None:
        print("no plots: they need --group bench")
        return
    import_module("matplotlib").use("Agg")
    for one in found:
        if one.name in _PLOTS:
            plot(one.name, _PLOTS[one.name])


def write_page() -> None:
    """Write the page and its plots from the results' files."""
    found = [one for one in benchmarks() if one.has_results]
    plot_all(found)
    _PAGE.write_text("\n".join([_HEAD, *(one.section() for one in found)]))


def main() -> int:
    """Run all, write the page, name those that missed a limit."""
    options = sys.argv[1:]
    missed = [] if "--page" in options else [one.name for one in benchmarks() if not one.run(options)]
    write_page()
    if missed:
        print("\nMISSED:", ", ".join(missed))
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
