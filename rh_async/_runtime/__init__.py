"""One open session: starts its services, connects them, and closes them in order."""
