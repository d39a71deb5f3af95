"""Counts progress from a session's events: one counter and one snapshot, for a batch and for a single job."""
