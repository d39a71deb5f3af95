"""Faults: defines what can go wrong, decides which requests are affected, and applies the fault."""
