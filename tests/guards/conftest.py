"""A server and media, as for the session's tests."""

from __future__ import annotations

from tests.session.conftest import media, server

__all__ = ["media", "server"]
