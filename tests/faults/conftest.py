"""The media and the server of the session's tests, here too."""

from tests.session.conftest import media, server, session

__all__ = ["media", "server", "session"]
