"""Reads what earlier runs recorded on disk about their outputs: the sidecar of each, and the folder's results log."""
