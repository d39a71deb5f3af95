"""What it costs to import rh_async, beside aiohttp, which it stands on.

``uv run python -m benchmarks.startup [--quick]``: fresh interpreters take turns, with bytecode cached as after an
installation; CPU time, kernel included. What counts is the ratio of the cheapest. Then the modules that come on top of
aiohttp are summed by package, with the cheapest of a few runs each.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping

from benchmarks._report import Row, tabulate

BARS = {"ratio": 1.3}
_NAMES = ("aiohttp", "rh_async")


def cpu_ms(module: str, environment: Mapping[str, str]) -> float:
    """Return the CPU milliseconds of an interpreter that imports a module and ends."""
    _, status, used = os.wait4(subprocess.Popen([sys.executable, "-c", f"import {module}"], env=environment).pid, 0)
    if status:
        raise SystemExit(f"import {module} failed")
    return 1000 * (used.ru_utime + used.ru_stime)


def own_times(environment: Mapping[str, str]) -> dict[str, float]:
    """Return the milliseconds that each module takes by itself, of those that rh_async loads beyond aiohttp."""
    program = [sys.executable, "-X", "importtime", "-c", "import aiohttp; import rh_async"]
    report = subprocess.run(program, env=environment, capture_output=True, text=True, check=True).stderr
    rows = [line.removeprefix("import time:").split("|") for line in report.splitlines()[1:]]
    times = [(name.strip(), int(own) / 1000) for own, _, name in rows]
    beyond = 1 + [name for name, _ in times].index("aiohttp")
    return dict(times[beyond:])


def by_package(runs: int, environment: Mapping[str, str]) -> dict[str, float]:
    """Return these times by package, each module's cheapest."""
    measured = [own_times(environment) for _ in range(runs)]
    packages: defaultdict[str, float] = defaultdict(float)
    for name in measured[0]:
        packages[name.split(".")[0]] += min(one[name] for one in measured if name in one)
    return dict(sorted(packages.items(), key=lambda one: -one[1]))


def main() -> int:
    """Measure, print, keep."""
    quick = "--quick" in sys.argv
    with tempfile.TemporaryDirectory() as cache:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = cache
        for name in _NAMES:
            cpu_ms(name, environment)  # writes the bytecode
        rounds = [[cpu_ms(name, environment) for name in _NAMES] for _ in range(3 if quick else 25)]
        beyond = by_package(2 if quick else 10, environment)
    theirs, ours = map(min, zip(*rounds, strict=True))
    rows = [
        Row(scenario="import", client="rh_async", figures={"cpu_ms": ours, "ratio": ours / theirs}, bars=BARS),
        Row(scenario="import", client="aiohttp", figures={"cpu_ms": theirs}),
    ]
    rows += [
        Row(scenario="of it, beyond aiohttp", client=package, figures={"cpu_ms": spent})
        for package, spent in list(beyond.items())[:6]
    ]
    return tabulate("startup", rows, keep=not quick)


if __name__ == "__main__":
    sys.exit(main())
