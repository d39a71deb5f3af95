"""Whatever the sources cite opens for a cloner: sections of the two pages of facts, and files of the repository."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTRACT = ROOT / "rh_async" / "_api" / "CONTRACT.md"
POLLING = ROOT / "rh_async" / "_polling" / "POLLING.md"

_SECTION = r"\d+(?:\.\d+)*"
_SECTIONS = rf"{_SECTION}(?:(?:,| and| or| to|, and)? ?[-–]?{_SECTION}(?![\w%]))*"
_CITED = {
    CONTRACT: re.compile(rf"\b(?:contract|CONTRACT\.md),? (?:section )?({_SECTIONS})", re.IGNORECASE),
    POLLING: re.compile(rf"\bPOLLING\.md,? (?:section )?({_SECTIONS})"),
}
_TEXTS = frozenset({".py", ".md", ".toml", ".yml", ".yaml"})


def _sources() -> Iterator[tuple[str, str]]:
    """Yield every text of the repository, as one line: a citation may be wrapped, inside a comment too."""
    folders = ("rh_async", "tests", "benchmarks", ".ci", ".github")
    found = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    for path in sorted([*found, *ROOT.glob("*")]):
        if path.is_file() and (path.suffix in _TEXTS or path.parent.name == ".ci") and path != Path(__file__):
            yield str(path.relative_to(ROOT)), re.sub(r"\s+(?:# ?|#: )?", " ", path.read_text())


def _cited(page: Path) -> set[tuple[str, str]]:
    return {
        (name, section)
        for name, text in _sources()
        for sections in _CITED[page].findall(text)
        for section in re.findall(_SECTION, sections)
    }


def _headings(page: Path) -> set[str]:
    return set(re.findall(rf"^#{{2,4}} ({_SECTION})\.? ", page.read_text(), re.MULTILINE))


@pytest.mark.parametrize("page", [CONTRACT, POLLING], ids=lambda page: page.name)
def test_every_cited_section_is_a_heading_of_its_page(page: Path) -> None:
    headings = _headings(page)
    assert sorted(cited for cited in _cited(page) if cited[1] not in headings) == []


def test_the_citations_of_the_contract_are_found_at_all() -> None:
    assert len(_cited(CONTRACT)) > 80
    assert {name for name, _ in _cited(CONTRACT)} > {"rh_async/errors.py", "rh_async/_polling/POLLING.md"}


def test_no_page_is_named_that_is_not_in_the_repository() -> None:
    pages = {path.name for path in [*ROOT.glob("*.md"), *(ROOT / "benchmarks").glob("*.md"), CONTRACT, POLLING]}
    pages |= {path.name for path in (ROOT / ".github").rglob("*.md")}
    named = {(name, page) for name, text in _sources() for page in re.findall(r"[\w-]+\.md\b", text)}
    assert sorted(one for one in named if one[1] not in pages) == []
    assert [name for name, text in _sources() if re.search(r"\baddendum\b", text, re.IGNORECASE)] == []


def test_the_limits_of_the_polling_page_are_those_that_the_benchmark_checks() -> None:
    rows = json.loads((ROOT / "benchmarks" / "results" / "polling.json").read_text())
    checked = {(row["bars"]["requests"], row["bars"]["latency_mean"]) for row in rows if row["bars"]}
    written = re.findall(r"^\|.*\| ([\d.]+) \| ([\d.]+) \|$", POLLING.read_text(), re.MULTILINE)
    assert {(float(requests), float(late)) for requests, late in written} == checked
