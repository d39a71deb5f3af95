"""The public names and their signatures change on purpose only."""

from __future__ import annotations

from tests.guards.golden import compare
from tests.guards.public_api import describe

NOW = describe()  # before a fixture stands between a test and `Session`


def test_public_names_and_signatures_are_those_of_the_golden_file() -> None:
    compare("public_api.txt", NOW)
