"""Durable state: one record per submission, in SQLite, shared by processes through lease files."""
