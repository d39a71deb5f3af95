"""Writes a batch's outputs: file names, sidecar files, and the results log."""
