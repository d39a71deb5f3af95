"""Holds the state that the parts of one run share: the entries being processed, and the outcome of each."""
