"""Reads a manifest: from a file's bytes over text, rows and cells to one request per row."""
