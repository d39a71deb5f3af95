"""What is wrong with an input, as one line for a person: the thing, what is wrong with it, what helps."""

from __future__ import annotations

import os
from pathlib import PurePath

from attrs import frozen

from rh_async.errors import InvalidMedia

_LONGEST = 160


@frozen(kw_only=True)
class Issue:
    """One thing that is wrong.

    :param rule: what it breaks, in the same words for every input that breaks it: refusals are grouped by it.
    :param thing: a file, or a row and column of a manifest.
    :param what: what is wrong with it.
    :param remedy: what to do.
    :param refuses: whether it stops the job; else it only warns.
    """

    rule: str
    thing: str
    what: str
    remedy: str
    refuses: bool = True

    def __str__(self) -> str:
        return f"{self.thing}: {self.what}. {self.remedy}."

    def line(self, origin: str) -> str:
        """The same, naming the row it was found for, too.

        :param origin: manifest and line; "" where no row is the cause.
        """
        line = str(self)
        return line if line.startswith(origin) else f"{origin}: {line}"


class Unfit(InvalidMedia):
    """A local file that no model can take.

    :ivar finding: the same as a value.
    """

    def __init__(self, path: PurePath, rule: str, what: str, remedy: str) -> None:
        self.finding = Issue(rule=rule, thing=shown(path), what=what, remedy=remedy)
        super().__init__(f"{self.finding.thing}: {what}", advice=f"{remedy}; nothing was submitted.")


def shown(value: str | PurePath) -> str:
    """A name or a value fit for a line: what cannot be printed is escaped, what is too long loses its middle."""
    text = "".join(sign if sign.isprintable() else _escaped(sign) for sign in os.fspath(value))
    half = _LONGEST // 2 - 1
    return text if len(text) <= _LONGEST else f"{text[:half]}…{text[-half:]}"


def _escaped(sign: str) -> str:
    # A byte that is no UTF-8 travels in a name as a lone surrogate.
    return f"\\x{ord(sign) - 0xDC00:02x}" if "\udc80" <= sign <= "\udcff" else ascii(sign)[1:-1]
