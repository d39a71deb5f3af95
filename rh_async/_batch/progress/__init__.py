"""Counts a batch's progress: one counter, one snapshot, the estimated time left."""
