"""Holds the tree to the field's words: the private words that it once used are not written any more."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
OURS = Path(__file__)
FILES = sorted(
    path
    for pattern in (
        "*.md",
        "rh_async/**/*.py",
        "rh_async/**/*.md",
        "tests/**/*.py",
        "benchmarks/**/*.py",
        "benchmarks/*.md",
    )
    for path in ROOT.glob(pattern)
    if path not in {OURS, ROOT / "CHANGELOG.md"}  # both name the old words on purpose
)

ANYWHERE = """
abroad agenda asker askers carrier carriers diary diaries errand errands fate fates furnish furnished furnishes
hearsay heeding hungry hunt hunted hunting hunts hush hushed lateness lend lends lent misuse misuses newborn nobody
pickup sameness shelf shelves somebody someone stranger strangers tallies tally threshold tidings twin twins voice
voices whereabouts whoever wish wished wishes withheld
""".split()
"""Words that stand in no identifier, docstring, comment, message or page. CONTRIBUTING.md has those to use instead."""

IDENTIFIERS = """
believed believes door doors flew flies floor floors flown fly followed follower house landed look looked looks room
rooms told twin worth
""".split()
"""Words that no name of a class, a function, a parameter or a variable holds; in prose they may be plain English."""

ALLOWED = {
    ("voice", "rh_async/_media/file_extension.py"),  # a kind of file, as the server names it
    ("voice", "rh_async/_polling/job_kinds.py"),  # a word of endpoints
    (
        "withheld",
        "rh_async/_batch/outputs/results_log.py",
    ),  # old results logs are still read
    ("twin", "rh_async/_batch/outputs/results_log.py"),
    ("withheld", "tests/batch/test_outcomes.py"),
    ("twin", "tests/batch/test_outcomes.py"),
}
"""Words that data has, each with the one file that may name it."""

_WORDS = re.compile(r"(?<![a-z])(" + "|".join(ANYWHERE) + r"|those who)(?![a-z])")


def short(path: Path) -> str:
    """The path from the top of the repository."""
    return path.relative_to(ROOT).as_posix()


def apart(text: str) -> str:
    """Put spaces between the words of identifiers."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text).replace("_", " ").lower()
    return re.sub(r"\blook ups?\b", "", words)  # a look-up is one, and no poll


def old_words(path: Path) -> Iterator[str]:
    name = short(path)
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        for word in _WORDS.findall(apart(line)):
            if (word, name) not in ALLOWED:
                yield f"{name}:{number}: {word}"


def defined(source: str) -> Iterator[tuple[int, str]]:
    """The names that a module defines or assigns, each with its line."""
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    for before, token, after in zip(tokens, tokens[1:], tokens[2:], strict=False):
        named = before.string in {"def", "class", "for", "as"} or after.string in {"=", ":"}
        if token.type == tokenize.NAME and named:
            yield token.start[0], token.string


@pytest.mark.parametrize("path", FILES, ids=short)
def test_a_file_has_none_of_the_old_words(path: Path) -> None:
    assert list(old_words(path)) == []


@pytest.mark.parametrize("path", sorted(ROOT.glob("rh_async/**/*.py")), ids=short)
def test_a_module_names_nothing_by_the_old_words(path: Path) -> None:
    names = defined(path.read_text(encoding="utf-8"))
    assert [(line, name) for line, name in names if set(apart(name).split()) & set(IDENTIFIERS)] == []


def test_the_check_finds_an_old_word_however_it_is_written() -> None:
    line = "class ErrandRunner: wish_list = SHELF  # nobody is told"
    assert _WORDS.findall(apart(line)) == ["errand", "wish", "shelf", "nobody"]
    assert _WORDS.findall(apart("unwished twinkle somebodyelse")) == []
