"""Derives the key of a request that was given none: equal inputs to the same model are the same submission. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from json import dumps
from pathlib import Path

from .base import Request

_DERIVED = re.compile(r"auto-[0-9a-f]{32}")


def derived_key(request: Request, sha256s: Mapping[Path, str]) -> str:
    """Derive a key from the model and its fields.

    Planning counts duplicates by this key and the journal refuses a second submit by it: were the two computed apart,
    a plan could promise one payment and the run make two. Stored journals hold such keys, so the text that is hashed
    must never change.

    :param sha256s: by path, the hash of each local file: a file that was renamed is the same input. Links count by
        their text: a signed link differs each time, so a caller who uses one should pass a key.
    """
    parameters = request.fingerprint(sha256s)
    text = dumps({"endpoint": request.endpoint, "parameters": parameters}, sort_keys=True, separators=(",", ":"))
    return f"auto-{sha256(text.encode()).hexdigest()[:32]}"


def is_derived(key: str) -> bool:
    """Whether a key was derived from the content of its request."""
    return _DERIVED.fullmatch(key) is not None
