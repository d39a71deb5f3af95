"""Reads a manifest: from a table's text to one request per row."""
